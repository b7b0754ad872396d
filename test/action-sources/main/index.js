// `npm run coverage` runs this file instead of action/dist/main/index.js, so that the lines of the sources are counted.
import '../../../action/main.ts'
