// discord-digital-twin and its patients: asks come as JSON lines on standard input, answers go as JSON lines to
// standard output under the same id. Lines without an id tell what a patient's Discord shows.
import net from "node:net";
import readline from "node:readline";
import { DigitalDiscord, generateSnowflake } from "discord-digital-twin";

// The twin would listen on every interface.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest);
};

const discord = new DigitalDiscord({ channels: [{ name: "general", type: 0 }], botToken: process.argv[2] });
await discord.start();
const { prisma, server, botUserId, guildId } = discord;
const { gateway, httpServer } = server;
const general = (await prisma.channel.findMany())[0].id;
const dms = new Map(); // channel → user
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// The twin knows guilds only. In a direct message Discord names the user, no member and no guild.
function asDiscordSays(event, data) {
  const said = { ...data };
  const user = dms.get(data.channel_id);
  if (user) {
    delete said.guild_id;
    delete said.member;
    if (said.message) said.message = asDiscordSays("MESSAGE", said.message);
    if (event === "INTERACTION_CREATE") Object.assign(said, { user, context: 1 });
    if (event.startsWith("MESSAGE_")) said.channel_type = 1;
  }
  if (said.content?.includes(`<@${botUserId}>`)) said.mentions = [{ id: botUserId, username: "TestBot", bot: true }];
  return said;
}

// Sessions outlive their connection, so that they can be resumed; the twin forgets them with it.
const sessions = new Map(); // id → { client, log }
const sendDispatch = gateway.sendDispatch.bind(gateway);
gateway.sendDispatch = (client, event, data) => {
  const session = sessions.get(client.sessionId) ?? { log: [] };
  sessions.set(client.sessionId, Object.assign(session, { client }));
  sendDispatch(client, event, data);
  session.log.push({ event, data, sequence: client.sequence });
};
const last = new Map(); // channel → what its patient did last
gateway.broadcast = (event, data) => {
  const said = asDiscordSays(event, data);
  const byPatient = event === "INTERACTION_CREATE" || (event === "MESSAGE_CREATE" && !said.author.bot);
  if (byPatient) last.set(data.channel_id, [event, said]);
  else if (event.startsWith("MESSAGE_")) show(event, said);
  dispatch(event, said);
};
function dispatch(event, said) {
  for (const { client } of sessions.values()) gateway.sendDispatch(client, event, said);
}

gateway.wss.on("connection", (socket) => {
  const client = gateway.clients.at(-1);
  socket.on("close", (code) => {
    if (code === 1000 || code === 1001) sessions.delete(client.sessionId);
  });
});
const handleMessage = gateway.handleMessage.bind(gateway);
gateway.handleMessage = async (client, raw) => {
  const { op, d } = JSON.parse(raw);
  if (op !== 6) return handleMessage(client, raw);
  say({ resume: { session: d.session_id, known: sessions.has(d.session_id) } });
  const session = sessions.get(d.session_id);
  if (!session) return gateway.send(client, { op: 9, d: false, s: null, t: null });
  Object.assign(client, { sessionId: d.session_id, sequence: session.client.sequence, identified: true });
  session.client = client;
  for (const { event, data, sequence } of session.log) {
    if (sequence > d.seq) gateway.send(client, { op: 0, t: event, s: sequence, d: data });
  }
  gateway.sendDispatch(client, "RESUMED", {});
};

// Opening a direct message is missing in the twin.
const [serve] = httpServer.listeners("request");
httpServer.removeListener("request", serve);
httpServer.on("request", async (request, response) => {
  if (request.method !== "POST" || !request.url.endsWith("/users/@me/channels")) return serve(request, response);
  let body = "";
  for await (const chunk of request) body += chunk;
  const recipient = JSON.parse(body).recipient_id;
  const found = [...dms].find(([, user]) => user.id === recipient);
  response.writeHead(found ? 200 : 400, { "content-type": "application/json" });
  response.end(JSON.stringify(found ? { id: found[0], type: 1 } : { code: 50033, message: "Invalid Recipient(s)" }));
});

const shownOf = (it) => ({
  id: it.id,
  channel: it.channel_id,
  text: it.content ?? "",
  flags: it.flags ?? 0,
  buttons: (it.components ?? []).flatMap((row) => row.components)
    .map((b) => ({ label: b.label, data: b.custom_id, disabled: b.disabled ?? false })),
});
function show(event, message) {
  say({ shown: { gone: event === "MESSAGE_DELETE", ...shownOf(message) } });
}

const actions = {
  async patient({ name }) {
    const id = generateSnowflake();
    const channel = generateSnowflake();
    await prisma.user.create({ data: { id, username: name, globalName: name } });
    await prisma.guildMember.create({ data: { guildId, userId: id } });
    await prisma.channel.create({ data: { id: channel, type: 1, guildId: null } });
    dms.set(channel, { id, username: name, discriminator: "0", avatar: null, global_name: name });
    return { user: id, channel };
  },
  async say({ channel, user, text }) {
    const { id } = await discord.simulateUserMessage({ channelId: channel, userId: user, content: text });
    return { message: id };
  },
  async slash({ channel, user, name, options }) {
    const { id } = await discord.simulateSlashCommand({ channelId: channel, userId: user, name, options });
    return { interaction: id };
  },
  async press({ channel, user, message, data }) {
    const { id } = await discord.simulateButtonClick({ channelId: channel, userId: user, messageId: message, customId: data });
    return { interaction: id };
  },
  async redeliver({ channel, times }) {
    for (let i = 0; i < times; i++) dispatch(...last.get(channel));
    return {};
  },
  async commands() {
    return { commands: (await prisma.applicationCommand.findMany()).map((it) => it.name) };
  },
  async connected() {
    return { connected: gateway.clients.filter((it) => it.identified).length };
  },
  // Cuts the connections as a network does.
  async cut() {
    for (const it of gateway.clients) it.ws.terminate();
    return {};
  },
  // Says that every session is gone, as Discord does after a long pause.
  async forget() {
    sessions.clear();
    return actions.cut();
  },
};

say({
  api: `http://127.0.0.1:${discord.port}`,
  gateway: discord.gatewayUrl,
  bot: botUserId,
  general,
});
for await (const line of readline.createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  actions[ask.do](ask).then(
    (answer) => say({ id: ask.id, ...answer }),
    (error) => say({ id: ask.id, error: String(error?.stack ?? error) }),
  );
}
process.exit(0);
