"""WeChat's servers towards a bot, and a foreign client of WeChat's API, both built on wechatpy.

Asks come as JSON lines on standard input, answers go as JSON lines to standard output under the same id.
"""

import json
import random
import sys
import threading
import time
from hashlib import sha1

import requests
from wechatpy import WeChatClient
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import WeChatException
from wechatpy.replies import deserialize_reply

APPID, TOKEN, AES_KEY, ACCOUNT = sys.argv[1:5]
CRYPTO = WeChatCrypto(TOKEN, AES_KEY, APPID)
OUTPUT = threading.Lock()


def signed(*more):
    timestamp, nonce = str(int(time.time())), str(random.randrange(10**9, 10**10))
    signature = sha1("".join(sorted([TOKEN, timestamp, nonce, *more])).encode()).hexdigest()
    return {"signature": signature, "timestamp": timestamp, "nonce": nonce}


def direct(method, url, patience, **arguments):
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=patience, **arguments)


def verify(ask):
    """The check that the console makes when the address is entered."""
    echo = str(random.randrange(10**18))
    answer = direct("GET", ask["url"], 5, params={**signed(), "echostr": echo})
    return {"status": answer.status_code, "echoed": answer.text == echo}


def message_xml(ask):
    fields = {"ToUserName": ACCOUNT, "FromUserName": ask["openid"], "CreateTime": ask["create_time"], **ask["fields"]}
    tags = ("<%s><![CDATA[%s]]></%s>" % (name, str(value).replace("]]>", "]]]]><![CDATA[>"), name)
            for name, value in fields.items())
    return "<xml>%s</xml>" % "".join(tags)


def push(ask):
    """One message as WeChat delivers it: again after `patience` seconds without an answer, `tries` times in all."""
    tries = []
    for _ in range(ask["tries"]):
        outcome = push_once(ask)
        tries.append(outcome)
        if outcome["outcome"] == "unreachable":
            time.sleep(max(0.0, ask["patience"] - outcome["seconds"]))
        elif outcome["outcome"] != "timeout":
            break
    return {"tries": tries}


def push_once(ask):
    query = signed()
    envelope = CRYPTO.encrypt_message(message_xml(ask), query["nonce"], query["timestamp"])
    field = lambda name: envelope.split(f"<{name}><![CDATA[")[1].split("]]>")[0]
    body = f"<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><Encrypt><![CDATA[{field('Encrypt')}]]></Encrypt></xml>"
    query.update(openid=ask["openid"], encrypt_type="aes", msg_signature=field("MsgSignature"))
    started = time.monotonic()
    try:
        answer = direct("POST", ask["url"], ask["patience"], params=query, data=body.encode(),
                        headers={"Content-Type": "text/xml"})
        outcome = read_answer(answer, ask)
    except requests.exceptions.Timeout:
        outcome = {"outcome": "timeout"}
    except requests.exceptions.ConnectionError as error:
        outcome = {"outcome": "unreachable", "why": str(error)}
    return {**outcome, "seconds": time.monotonic() - started}


def read_answer(answer, ask):
    """Raises if the reply is not what WeChat would show."""
    if answer.status_code != 200:
        return {"outcome": "refused", "status": answer.status_code}
    if answer.text in ("", "success"):
        return {"outcome": "nothing"}
    field = lambda name: answer.text.split(f"<{name}>")[1].split(f"</{name}>")[0].removeprefix("<![CDATA[").removesuffix("]]>")
    opened = CRYPTO.decrypt_message(answer.text, field("MsgSignature"), field("TimeStamp"), field("Nonce"))
    reply = deserialize_reply(opened)
    assert reply.source == ACCOUNT and reply.target == ask["openid"], "a reply to somebody else"
    assert abs(time.time() - int(reply.time)) < 600, "a reply from another time"
    content = reply.content if reply.type == "text" else None
    return {"outcome": "reply", "type": reply.type, "content": content, "bytes": len((content or "").encode())}


class LocalClient(WeChatClient):
    """The stock client, but for the address: only that of the access token is no setting of wechatpy's."""

    def __init__(self, api, secret):
        super().__init__(APPID, secret, timeout=10)
        self.API_BASE_URL = api + "/cgi-bin/"
        self._http.trust_env = False

    def fetch_access_token(self):
        query = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        return self._fetch_access_token(self.API_BASE_URL + "token", query)


def call(ask):
    """A request of wechatpy's own client: `send_text`, `send_msg_menu` or `typing`."""
    client = CLIENTS.setdefault(ask["secret"], LocalClient(ask["api"], ask["secret"]))
    try:
        if ask["call"] == "typing":
            data = {"touser": ask["openid"], "command": ask["argument"]}
            return {"result": client.post("message/custom/typing", data=data)}
        return {"result": getattr(client.message, ask["call"])(ask["openid"], ask["argument"])}
    except WeChatException as error:
        return {"errcode": error.errcode}


CLIENTS = {}
ACTIONS = {"verify": verify, "push": push, "call": call}


def work(ask):
    try:
        answer = ACTIONS[ask["do"]](ask)
    except Exception as error:  # Whatever it is, the test shall show it.
        answer = {"error": f"{type(error).__name__}: {error}"}
    with OUTPUT:
        print(json.dumps({"id": ask["id"], **answer}), flush=True)


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    threading.Thread(target=work, args=(json.loads(line),), daemon=True).start()
