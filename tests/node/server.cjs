// The fake Bot API on the given port; "ready" on standard output once it listens.
const TelegramServer = require("telegram-test-api");

const port = Number(process.argv[2]);
const server = new TelegramServer({ port, host: "127.0.0.1", storage: "RAM", storeTimeout: 3600 });
server.start().then(
  () => console.log("ready"),
  (error) => {
    console.log(String(error));
    process.exit(1);
  },
);
