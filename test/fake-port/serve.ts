import { startPortApi } from '../../simulator/port/port.ts'

const { url, clientId, clientSecret, createRun } = await startPortApi()
createRun({ id: process.argv[2]! })
console.log(JSON.stringify({ url, clientId, clientSecret }))
