// What `npm run coverage` plays instead of action/dist/post/index.js: the same from its sources, so that their lines are counted.
import '../../../action/post.ts'
