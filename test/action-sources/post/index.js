// `npm run coverage` runs this file instead of action/dist/post/index.js, so that the lines of the sources are counted.
import '../../../action/post.ts'
