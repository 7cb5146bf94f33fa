// The collection in the folder of a participant, run by Postman's own engine as the folder's
// README says: with the environment beside it, the certificate for the hosts that are listed
// there, and the CA. Usage: node postman.js FOLDER
import fs from 'node:fs'
import { join } from 'node:path'
import runtime from 'postman-runtime'
import postman from 'postman-collection'

const path = (name) => join(process.argv[2], name)
const json = (name) => JSON.parse(fs.readFileSync(path(name), 'utf8'))
const hosts = [...fs.readFileSync(path('README.md'), 'utf8').matchAll(/^ {3}- `(.+)`$/gm)].map(([, host]) => host)
const collection = new postman.Collection(json('postman_collection.json'))
const environment = new postman.VariableScope(json('postman_environment.json'))
const certificates = new postman.CertificateList({}, [
  { matches: hosts.map((host) => `https://${host}/*`), cert: { src: path('transport.pem') }, key: { src: path('transport.key') } },
])

const failures = []
const tested = new Set() // the requests of which a test has passed
const failed = (item, what) => failures.push(`${item?.name ?? 'the collection'}: ${what}`)
let current
const callbacks = {
  beforeItem: (error, _, item) => { current = item },
  request: (error, _, response, request, item) => {
    if (error) failed(item, error.message)
    else console.log(`${item.name}: ${response.code}`)
  },
  assertion: (_, assertions) => {
    for (const { name, passed, error } of assertions) {
      if (passed) tested.add(current.name)
      else failed(current, `${name}: ${error.message}`)
    }
  },
  exception: (_, error) => failed(current, error.message),
  done: (error) => {
    if (error) failed(undefined, error.message)
    collection.forEachItem((item) => { if (!tested.has(item.name)) failed(item, 'no test of it has passed') })
    for (const failure of failures) console.error(failure)
    process.exit(failures.length > 0 ? 1 : 0) // the engine would keep the process
  },
}
new runtime.Runner().run(collection, {
  environment, certificates, fileResolver: fs, timeout: { request: 30000, script: 20000 },
  requester: { strictSSL: true, extendedRootCA: path('ca.pem') },
}, (error, run) => {
  if (error) throw error
  run.start(callbacks)
})
