//! Whether a bot runs on the data directory and is well; if none does, whether its ports are free.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    time::Duration,
};

use bedside_store::Holder;
use serde_json::Value;

use super::finding::Finding;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(3);
/// Of an answer; `/readyz` says far less.
const MOST: u64 = 64 << 10;

pub(super) fn look(config: &Config, holder: Option<Holder>) -> Vec<Finding> {
    let all = [
        (config.web.enabled, "web.listen", config.web.listen.as_str()),
        (
            config.wechat.enabled,
            "wechat.listen",
            config.wechat.listen.as_str(),
        ),
    ];
    let addresses: Vec<_> = all.into_iter().filter(|it| it.0).collect();
    let Some(holder) = holder else {
        let is_free = |(_, key, address)| free(key, address, try_to_bind(address));
        return addresses.into_iter().map(is_free).collect();
    };
    let mut findings = vec![Finding::ok(
        "bot",
        format!("{holder} runs on this data directory"),
    )];
    for (_, key, address) in addresses {
        findings.push(served(key, address, connect(address).map(drop)));
    }
    if config.web.enabled
        && let Ok(answer) = ask_readiness(&config.web.listen)
    {
        findings.push(readiness(&answer));
    }
    findings
}

enum Bound {
    Free,
    /// With a neighbour that is free.
    Taken(Option<SocketAddr>),
    Refused(String),
}

fn try_to_bind(address: &str) -> Bound {
    let address = match resolved(address) {
        Ok(address) => address,
        Err(error) => return Bound::Refused(error.to_string()),
    };
    match TcpListener::bind(address) {
        Ok(_) => Bound::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let other = TcpListener::bind(SocketAddr::new(address.ip(), 0));
            Bound::Taken(other.and_then(|it| it.local_addr()).ok())
        }
        Err(error) => Bound::Refused(error.to_string()),
    }
}

fn free(key: &str, address: &str, bound: Bound) -> Finding {
    match bound {
        Bound::Free => Finding::ok("ports", format!("{key}: {address} is free")),
        Bound::Taken(other) => {
            let other = other.map_or(String::new(), |it| format!(", e.g. {it}"));
            Finding::problem(
                "ports",
                format!("{key}: {address} is in use, and no bot runs on this data directory"),
                format!(
                    "end what uses it (`ss -ltnp`) or set {key} to another port{other}; if systemd's bedside.socket holds \
                     it, all is well"
                ),
            )
        }
        Bound::Refused(error) => Finding::problem(
            "ports",
            format!("{key}: {address} cannot be listened on: {error}"),
            "name an address of this machine, and a port above 1023 unless the bot may use lower ones",
        ),
    }
}

fn served(key: &str, address: &str, connected: io::Result<()>) -> Finding {
    match connected {
        Ok(()) => Finding::ok("ports", format!("{key}: {address} answers")),
        Err(error) => Finding::problem(
            "ports",
            format!("{key}: {address} does not answer: {error}"),
            "the bot is starting, hangs, or runs with another configuration: look into its log",
        ),
    }
}

fn resolved(address: &str) -> io::Result<SocketAddr> {
    let found = address.to_socket_addrs()?.next();
    found.ok_or_else(|| io::Error::other("no such address"))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut address = resolved(address)?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    TcpStream::connect_timeout(&address, PATIENCE)
}

fn ask_readiness(address: &str) -> io::Result<String> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Of a whole answer of `/readyz`, head and body.
fn readiness(answer: &str) -> Finding {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |it| it.1);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    match status {
        "200" => Finding::ok("ready", format!("yes{}", out(&body))),
        "503" => {
            let reasons = reasons(&body).join(", ");
            let text = format!("/readyz says no: {reasons}{}", out(&body));
            Finding::problem(
                "ready",
                text,
                "the log says more; docs/operations.md, \"Is it well?\"",
            )
        }
        _ => Finding::note(
            "ready",
            "what answers there is not the bot's page",
            "compare web.listen with the configuration that the bot runs with",
        ),
    }
}

fn reasons(body: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    for part in ["store", "disk"] {
        match body.get(part).and_then(Value::as_str) {
            None | Some("ok") => {}
            Some(state) => reasons.push(format!("{part} {state}")),
        }
    }
    if body.get("model").is_some_and(Value::is_null) {
        reasons.push("no model".to_owned());
    }
    if reasons.is_empty() {
        reasons.push("`bedside status` tells why".to_owned());
    }
    reasons
}

/// Platforms that are out until the next start.
fn out(body: &Value) -> String {
    let connectors = body.get("connectors").and_then(Value::as_object);
    let out: Vec<&str> = connectors
        .into_iter()
        .flatten()
        .filter(|(_, state)| *state == "out")
        .map(|(platform, _)| platform.as_str())
        .collect();
    if out.is_empty() {
        String::new()
    } else {
        format!("; out until the next start: {}", out.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::{io, net::TcpListener};

    use super::{super::finding::Verdict, Bound, connect, free, readiness, served, try_to_bind};

    #[test]
    fn a_taken_port_is_a_problem_and_a_free_one_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let found = free("web.listen", &address, try_to_bind(&address));
        assert_eq!(found.verdict, Verdict::Problem);
        let advice = found.advice.unwrap();
        assert!(
            found.text.contains(&address)
                && advice.contains("set web.listen")
                && advice.contains("127.0.0.1:"),
            "{advice}"
        );
        assert!(connect(&address).is_ok());
        drop(taken);
        let found = free("web.listen", &address, try_to_bind(&address));
        assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
        for wrong in ["nonsense", "192.0.2.1:80"] {
            assert!(matches!(try_to_bind(wrong), Bound::Refused(_)), "{wrong}");
            assert_eq!(free("k", wrong, try_to_bind(wrong)).verdict, Verdict::Problem);
        }
        let refused = Err(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(served("web.listen", "a:1", refused).verdict, Verdict::Problem);
    }

    #[test]
    fn what_keeps_a_bot_from_being_ready_is_named() {
        let check = |status: u16, body: &str, expect: Verdict, words: &[&str]| {
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\r\n{body}");
            let found = readiness(&answer);
            assert_eq!(found.verdict, expect, "{found:?}");
            for word in words {
                assert!(found.text.contains(word), "{found:?}");
            }
        };
        let connectors = r#""connectors":{"telegram":"out","web":"ok"}"#;
        check(
            200,
            &format!(r#"{{"ready":true,"model":"m","store":"ok","disk":"ok",{connectors}}}"#),
            Verdict::Ok,
            &["yes", "telegram"],
        );
        check(
            503,
            r#"{"ready":false,"model":null,"store":"ok","disk":"low"}"#,
            Verdict::Problem,
            &["no model", "disk low"],
        );
        check(
            503,
            r#"{"ready":false,"model":"m","store":"failed"}"#,
            Verdict::Problem,
            &["store failed"],
        );
        check(404, "nothing", Verdict::Note, &["not the bot's"]);
    }
}
