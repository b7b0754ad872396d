// What `npm run coverage` plays instead of action/dist/main/index.js: the same from its sources, so that their lines are counted.
import '../../../action/main.ts'
