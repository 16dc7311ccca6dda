"""wechatpy's implementation of WeChat's message encryption, by JSON lines.

python crypto.py TOKEN ENCODING_AES_KEY APPID
"""

import json
import sys

from wechatpy.crypto import PrpCrypto, WeChatCrypto, _get_signature

token, aes_key, appid = sys.argv[1:4]
key = WeChatCrypto(token, aes_key, appid).key
for line in sys.stdin:
    # A cipher of pycryptodome serves one message.
    asked = json.loads(line)
    answer = {
        # It raises if the appid inside is another.
        "opened": PrpCrypto(key).decrypt(asked["encrypted"], appid),
        "appid": appid,
        "sealed": PrpCrypto(key).encrypt(asked["message"], appid).decode(),
        "signature": _get_signature(token, asked["timestamp"], asked["nonce"], asked["encrypted"]),
    }
    print(json.dumps(answer), flush=True)
