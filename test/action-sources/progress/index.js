// `npm run coverage` runs this file instead of action/dist/progress/index.js, so that the lines of the sources are counted.
import '../../../action/progress.ts'
