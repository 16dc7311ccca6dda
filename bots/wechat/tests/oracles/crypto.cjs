// Two foreign implementations of WeChat's message encryption, by JSON lines.
// node crypto.cjs PACKAGE_FOLDER NAME TOKEN ENCODING_AES_KEY APPID
const [folder, name, token, aesKey, appid] = process.argv.slice(2)
const required = require(require('path').join(folder, name))

const oracles = {
  'wechat-crypto': () => {
    const crypt = new required(token, aesKey, appid)
    return {
      sign: (timestamp, nonce, encrypted) => crypt.getSignature(timestamp, nonce, encrypted),
      encrypt: (message) => crypt.encrypt(message),
      decrypt: (encrypted) => crypt.decrypt(encrypted),
    }
  },
  '@wecom/crypto': () => ({
    sign: (timestamp, nonce, encrypted) => required.getSignature(token, timestamp, nonce, encrypted),
    encrypt: (message) => required.encrypt(aesKey, message, appid),
    decrypt: (encrypted) => required.decrypt(aesKey, encrypted),
  }),
}

const oracle = oracles[name]()
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { message, encrypted, timestamp, nonce } = JSON.parse(line)
  const opened = oracle.decrypt(encrypted)
  const sealed = oracle.encrypt(message)
  console.log(JSON.stringify({
    opened: opened.message,
    appid: opened.id,
    sealed,
    signature: oracle.sign(timestamp, nonce, encrypted),
  }))
})
