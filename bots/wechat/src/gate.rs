//! Who may speak to us: signatures, the clock, encryption, the mode.

use std::{
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    config::Mode,
    crypto::{AesKey, OpenError, open, seal},
    signature::{is_signed, sign},
    xml::{Fields, XmlError, cdata, parse},
};

pub(crate) struct GateKeys {
    pub(crate) token: SecretString,
    /// The current one first, then the previous one.
    pub(crate) aes: Vec<AesKey>,
}

/// Lets WeChat's requests in and nobody else's.
pub(crate) struct Gate {
    appid: String,
    keys: GateKeys,
    mode: Mode,
    complaints: Complaints,
}

/// What stands in the address of WeChat's request.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Signed {
    signature: String,
    timestamp: String,
    nonce: String,
    encrypt_type: String,
    msg_signature: String,
    echostr: String,
}

/// A message that came through.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fields: Fields,
    pub(crate) envelope: Envelope,
}

/// How the reply travels: as the message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    Plain,
    /// Sealed with the key of this place in [`GateKeys::aes`].
    Sealed(usize),
}

/// Why a request is turned away, with what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "its time is more than 5 minutes off: set this machine's clock (ntp), or somebody sent an old request again"
    )]
    Clock,
    #[error("its signature is wrong: wechat.token and 令牌(Token) in the console must be the same")]
    Signature,
    #[error(
        "it is not encrypted and wechat.mode is safe: choose 安全模式 at 消息加解密方式 under 基本配置 in the console"
    )]
    Plain,
    #[error("it is encrypted and no wechat.encoding_aes_key is set")]
    NoKey,
    #[error(
        "it cannot be decrypted ({0}): compare wechat.encoding_aes_key and wechat.appid with the console; \
         after a change of the key set wechat.previous_encoding_aes_key too"
    )]
    Sealed(OpenError),
    #[error("it is no WeChat message: {0}")]
    Xml(XmlError),
}

const CLOCK_WINDOW_SECONDS: u64 = 300;
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

impl Gate {
    pub(crate) fn new(appid: String, keys: GateKeys, mode: Mode) -> Self {
        Self {
            appid,
            keys,
            mode,
            complaints: Complaints::default(),
        }
    }

    /// What to answer when the console checks our address. The clock is not asked here: an old request of
    /// this kind does no harm.
    pub(crate) fn verify(&self, signed: &Signed, now: i64) -> Result<String, Refusal> {
        if is_off(signed, now) {
            tracing::warn!("this machine's clock is off by more than 5 minutes: messages would be refused");
        }
        let echo = if signed.msg_signature.is_empty() {
            self.check(&signed.signature, signed, None)?;
            signed.echostr.clone()
        } else {
            self.check(&signed.msg_signature, signed, Some(&signed.echostr))?;
            self.decrypt(&signed.echostr)?.0
        };
        tracing::info!("the console checked wechat's address and was answered");
        Ok(echo)
    }

    /// Reads a message, if it is WeChat's.
    pub(crate) fn open(&self, signed: &Signed, body: &[u8], now: i64) -> Result<Opened, Refusal> {
        if is_off(signed, now) {
            return Err(Refusal::Clock);
        }
        let is_encrypted = signed.encrypt_type == "aes";
        // Where a message is encrypted, its own signature says all; a wrong second one is no good sign.
        if !is_encrypted || !signed.signature.is_empty() {
            self.check(&signed.signature, signed, None)?;
        }
        if !is_encrypted {
            if self.mode == Mode::Safe {
                return Err(Refusal::Plain);
            }
            let fields = parse(body).map_err(Refusal::Xml)?;
            let envelope = Envelope::Plain;
            return Ok(Opened { fields, envelope });
        }
        let outer = parse(body).map_err(Refusal::Xml)?;
        let encrypted = outer.get("Encrypt").ok_or(Refusal::Plain)?;
        self.check(&signed.msg_signature, signed, Some(encrypted))?;
        let (message, key) = self.decrypt(encrypted)?;
        Ok(Opened {
            fields: parse(message.as_bytes()).map_err(Refusal::Xml)?,
            envelope: Envelope::Sealed(key),
        })
    }

    /// A reply as it travels.
    pub(crate) fn wrap(&self, envelope: Envelope, message: String, now: i64) -> String {
        let key = match envelope {
            Envelope::Plain => None,
            Envelope::Sealed(key) => self.keys.aes.get(key),
        };
        let Some(key) = key else { return message };
        let encrypted = seal(key, &self.appid, &message, rand::random());
        let nonce = rand::random::<u32>().to_string();
        let now = now.to_string();
        let signature = sign(&[self.keys.token.expose_secret(), &now, &nonce, &encrypted]);
        format!(
            "<xml><Encrypt>{}</Encrypt><MsgSignature>{}</MsgSignature><TimeStamp>{now}</TimeStamp>\
             <Nonce>{}</Nonce></xml>",
            cdata(&encrypted),
            cdata(&signature),
            cdata(&nonce)
        )
    }

    /// The status of a refused request; the reason goes into the log, not more than once a minute.
    pub(crate) fn refuse(&self, refusal: Refusal) -> StatusCode {
        if self.complaints.is_due(refusal, Instant::now()) {
            tracing::warn!(reason = %refusal, "a request to wechat's address was refused");
        }
        match refusal {
            Refusal::Xml(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        }
    }

    fn check(&self, given: &str, signed: &Signed, encrypted: Option<&str>) -> Result<(), Refusal> {
        let token = self.keys.token.expose_secret();
        let fields: Vec<_> = [token, &signed.timestamp, &signed.nonce]
            .into_iter()
            .chain(encrypted)
            .collect();
        if is_signed(given, &fields) {
            Ok(())
        } else {
            Err(Refusal::Signature)
        }
    }

    /// The message, and which key opened it.
    fn decrypt(&self, encrypted: &str) -> Result<(String, usize), Refusal> {
        let mut problem = Refusal::NoKey;
        for (place, key) in self.keys.aes.iter().enumerate() {
            match open(key, &self.appid, encrypted) {
                Ok(message) => return Ok((message, place)),
                // What the current key says is what the operator can act on.
                Err(error) if place == 0 => problem = Refusal::Sealed(error),
                Err(_) => {}
            }
        }
        Err(problem)
    }
}

fn is_off(signed: &Signed, now: i64) -> bool {
    signed
        .timestamp
        .parse::<i64>()
        .map_or(true, |it| it.abs_diff(now) > CLOCK_WINDOW_SECONDS)
}

/// Keeps a flood of bad requests from flooding the log.
#[derive(Default)]
struct Complaints(Mutex<HashMap<Discriminant<Refusal>, Instant>>);

impl Complaints {
    fn is_due(&self, refusal: Refusal, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = discriminant(&refusal);
        if last
            .get(&kind)
            .is_some_and(|then| now.duration_since(*then) < COMPLAIN_EVERY)
        {
            return false;
        }
        last.insert(kind, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Complaints, Envelope, Gate, GateKeys, Refusal, Signed};
    use crate::{
        config::Mode,
        crypto::{AesKey, OpenError, open, seal},
        signature::sign,
        xml::parse,
    };

    const NOW: i64 = 1_700_000_000;
    const TOKEN: &str = "t0ken";
    const APPID: &str = "wx12";

    fn key(letter: &str) -> AesKey {
        AesKey::parse(&letter.repeat(43)).unwrap()
    }

    fn gate(mode: Mode, keys: &[&str]) -> Gate {
        let aes = keys.iter().map(|it| key(it)).collect();
        let token = TOKEN.to_owned().into();
        Gate::new(APPID.to_owned(), GateKeys { token, aes }, mode)
    }

    fn signed_at(time: i64) -> Signed {
        let timestamp = time.to_string();
        Signed {
            signature: sign(&[TOKEN, &timestamp, "n"]),
            timestamp,
            nonce: "n".to_owned(),
            ..Signed::default()
        }
    }

    fn encrypted_by(letter: &str, appid: &str, message: &str) -> (Signed, String) {
        let encrypted = seal(&key(letter), appid, message, [3; 16]);
        let signed = signed_at(NOW);
        let signed = Signed {
            encrypt_type: "aes".to_owned(),
            msg_signature: sign(&[TOKEN, &signed.timestamp, "n", &encrypted]),
            ..signed
        };
        (signed, format!("<xml><Encrypt>{encrypted}</Encrypt></xml>"))
    }

    const MESSAGE: &str = "<xml><Content>hi</Content></xml>";

    #[test]
    fn encrypted_messages_are_read_with_either_key() {
        for mode in [Mode::Safe, Mode::Compat, Mode::Plain] {
            let gate = gate(mode, &["A", "B"]);
            for (place, letter) in ["A", "B"].into_iter().enumerate() {
                let (signed, body) = encrypted_by(letter, APPID, MESSAGE);
                let opened = gate.open(&signed, body.as_bytes(), NOW).unwrap();
                assert_eq!(opened.fields.get("Content"), Some("hi"));
                assert_eq!(opened.envelope, Envelope::Sealed(place));
                let reply = gate.wrap(opened.envelope, "<xml>good</xml>".to_owned(), NOW);
                let reply = parse(reply.as_bytes()).unwrap();
                let inside = reply.get("Encrypt").unwrap();
                assert_eq!(
                    open(&key(letter), APPID, inside).as_deref(),
                    Ok("<xml>good</xml>")
                );
                let parts = [
                    TOKEN,
                    reply.get("TimeStamp").unwrap(),
                    reply.get("Nonce").unwrap(),
                    inside,
                ];
                assert_eq!(reply.get("MsgSignature").unwrap(), sign(&parts));
            }
        }
    }

    #[test]
    fn plain_messages_need_a_mode_that_takes_them() {
        let check = |mode, expect: Result<Envelope, Refusal>| {
            let opened = gate(mode, &["A"]).open(&signed_at(NOW), MESSAGE.as_bytes(), NOW);
            assert_eq!(opened.map(|it| it.envelope), expect);
        };
        check(Mode::Safe, Err(Refusal::Plain));
        check(Mode::Compat, Ok(Envelope::Plain));
        check(Mode::Plain, Ok(Envelope::Plain));
        // The word in the address does not make a message encrypted.
        let signed = Signed {
            encrypt_type: "aes".to_owned(),
            ..signed_at(NOW)
        };
        let opened = gate(Mode::Compat, &["A"]).open(&signed, MESSAGE.as_bytes(), NOW);
        assert_eq!(opened.err(), Some(Refusal::Plain));
    }

    #[test]
    fn what_is_not_wechats_is_refused() {
        let gate = gate(Mode::Safe, &["A"]);
        let refusal = |signed: &Signed, body: &str| gate.open(signed, body.as_bytes(), NOW).err().unwrap();
        let (good, body) = encrypted_by("A", APPID, MESSAGE);
        let change = |change: fn(&mut Signed)| {
            let (mut signed, _) = encrypted_by("A", APPID, MESSAGE);
            change(&mut signed);
            signed
        };
        assert_eq!(
            refusal(&change(|it| it.msg_signature.push('0')), &body),
            Refusal::Signature
        );
        assert_eq!(
            refusal(&change(|it| it.msg_signature.clear()), &body),
            Refusal::Signature
        );
        assert_eq!(
            refusal(&change(|it| it.signature = "0".repeat(40)), &body),
            Refusal::Signature
        );
        assert_eq!(
            refusal(&change(|it| it.nonce.push('0')), &body),
            Refusal::Signature
        );
        assert_eq!(refusal(&change(|it| it.timestamp.clear()), &body), Refusal::Clock);
        assert_eq!(
            refusal(&change(|it| it.timestamp = i64::MIN.to_string()), &body),
            Refusal::Clock
        );
        for off in [-301, 301] {
            assert_eq!(
                gate.open(&good, body.as_bytes(), NOW + off).err(),
                Some(Refusal::Clock)
            );
        }
        assert!(gate.open(&good, body.as_bytes(), NOW + 300).is_ok());
        let (signed, body) = encrypted_by("A", "wx13", MESSAGE);
        assert_eq!(refusal(&signed, &body), Refusal::Sealed(OpenError::Appid));
        let (signed, body) = encrypted_by("C", APPID, MESSAGE);
        assert!(matches!(refusal(&signed, &body), Refusal::Sealed(_)));
        let (signed, body) = encrypted_by("A", APPID, "<!DOCTYPE x><xml/>");
        assert!(matches!(refusal(&signed, &body), Refusal::Xml(_)));
    }

    #[test]
    fn the_console_is_answered_in_both_forms() {
        let gate = gate(Mode::Safe, &["A"]);
        let plain = Signed {
            echostr: "4375".to_owned(),
            ..signed_at(NOW)
        };
        assert_eq!(gate.verify(&plain, NOW + 9_999).as_deref(), Ok("4375"));
        let (encrypted, _) = encrypted_by("A", APPID, "4375");
        let encrypted = Signed {
            echostr: seal(&key("A"), APPID, "4375", [3; 16]),
            ..encrypted
        };
        assert_eq!(gate.verify(&encrypted, NOW).as_deref(), Ok("4375"));
        let wrong = Signed {
            signature: String::new(),
            ..plain
        };
        assert_eq!(gate.verify(&wrong, NOW), Err(Refusal::Signature));
    }

    #[test]
    fn the_log_is_not_flooded() {
        let complaints = Complaints::default();
        let now = Instant::now();
        let due = |refusal, after| complaints.is_due(refusal, now + Duration::from_secs(after));
        assert_eq!(
            [
                due(Refusal::Plain, 0),
                due(Refusal::Plain, 59),
                due(Refusal::Clock, 59),
                due(Refusal::Plain, 61)
            ],
            [true, false, true, true]
        );
    }
}
