//! Whether the platforms and servers that the configuration names can be reached: a connection with TLS and one request
//! without any key.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::Context;
use reqwest::{Client, StatusCode, Url, redirect::Policy};

use super::finding::Finding;
use crate::config::Config;

const CHECK: &str = "reach";
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn look(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    Ok(addresses(config)
        .into_iter()
        .map(|(key, address)| {
            // The configuration's own check tells what is no address.
            let Some(url) = origin(&address) else {
                return Finding::note(
                    CHECK,
                    format!("{key} is no address"),
                    "see `bedside check-config`",
                );
            };
            let answer = if url.scheme().starts_with("smtp") {
                mail_server(&url).map(|()| "takes connections".to_owned())
            } else {
                runtime
                    .block_on(web_server(&url))
                    .map(|it| format!("answers ({it})"))
            };
            judge(key, &shown(&url), answer)
        })
        .collect())
}

/// Each that is in use, with its key.
fn addresses(config: &Config) -> Vec<(&'static str, String)> {
    let Config {
        telegram,
        discord,
        wechat,
        remote,
        escalation,
        ..
    } = config;
    let on = |is_on: bool, address: &str| is_on.then(|| address.to_owned());
    let all = [
        ("telegram.api_url", on(telegram.enabled, &telegram.api_url)),
        ("discord.api_url", on(discord.enabled, &discord.api_url)),
        (
            "discord.gateway_url",
            discord.gateway_url.clone().filter(|_| discord.enabled),
        ),
        ("wechat.api_url", on(wechat.enabled, &wechat.api_url)),
        (
            "remote.base_url",
            remote.base_url.clone().filter(|_| remote.is_on()),
        ),
        ("escalation.webhook", escalation.webhook.clone()),
        ("escalation.mail_server", escalation.mail_server.clone()),
    ];
    all.into_iter()
        .filter_map(|(key, address)| Some((key, address?)))
        .collect()
}

/// Scheme, host and port alone: paths and user names may be secrets.
fn origin(address: &str) -> Option<Url> {
    // A gateway's first words are those of a web server.
    let address = match address.strip_prefix("ws") {
        Some(rest) => format!("http{rest}"),
        None => address.to_owned(),
    };
    let mut url = Url::parse(&address).ok().filter(|it| it.host_str().is_some())?;
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url)
}

fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

async fn web_server(url: &Url) -> Result<StatusCode, String> {
    let mut client = Client::builder()
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        .redirect(Policy::none());
    let host = url.host_str().unwrap_or_default();
    if host == "localhost" || host == "[::1]" || host.starts_with("127.") {
        client = client.no_proxy();
    }
    let client = client.build().map_err(|it| causes(&it))?;
    let answer = client.head(url.clone()).send().await;
    // Whatever it says, it is there.
    answer
        .map(|it| it.status())
        .map_err(|it| causes(&it.without_url()))
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}

fn mail_server(url: &Url) -> Result<(), String> {
    let port = url.port().unwrap_or(match url.scheme() {
        "smtps" => 465,
        _ => 25,
    });
    let connect = || -> io::Result<()> {
        let host = url.host_str().unwrap_or_default();
        let address = (host, port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("no such host"))?;
        TcpStream::connect_timeout(&address, PATIENCE).map(drop)
    };
    connect().map_err(|error| error.to_string())
}

fn judge(key: &str, host: &str, answer: Result<String, String>) -> Finding {
    match answer {
        Ok(words) => Finding::ok(CHECK, format!("{key}: {host} {words}")),
        Err(error) => Finding::problem(
            CHECK,
            format!("{key}: {host} cannot be reached: {error}"),
            "look at name service, firewall, proxy and certificates between this machine and it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{super::finding::Verdict, addresses, judge, look, origin, shown};
    use crate::config::Config;

    #[test]
    fn only_the_host_is_asked_and_shown() {
        let check = |address: &str, expect: Option<(&str, &str)>| {
            let found = origin(address);
            let found = found.as_ref().map(|it| (it.as_str(), shown(it)));
            let expect = expect.map(|(url, host)| (url, host.to_owned()));
            assert_eq!(found, expect, "{address}");
        };
        check(
            "https://user:hush@api.example:8443/bot123:hush?key=hush#hush",
            Some(("https://api.example:8443/", "api.example:8443")),
        );
        check(
            "wss://gateway.example/?v=10",
            Some(("https://gateway.example/", "gateway.example")),
        );
        check("nonsense", None);
    }

    #[test]
    fn only_what_is_in_use_is_asked() {
        let mut config = Config::default();
        assert_eq!(addresses(&config), Vec::new());
        config.telegram.enabled = true;
        config.remote.base_url = Some("http://10.0.0.5:8000/v1".to_owned());
        config.escalation.mail_server = Some("smtp://relay.example".to_owned());
        let keys: Vec<_> = addresses(&config).into_iter().map(|it| it.0).collect();
        assert_eq!(
            keys,
            ["telegram.api_url", "remote.base_url", "escalation.mail_server"]
        );
    }

    #[test]
    fn a_server_that_is_away_is_a_problem_and_one_that_listens_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::default();
        config.escalation.mail_server = Some(format!("smtp://{address}"));
        let found = look(&config).unwrap();
        assert!(found.len() == 1 && found[0].verdict == Verdict::Ok, "{found:?}");
        drop(listener);
        config.escalation.webhook = Some(format!("http://{address}/hush"));
        let found = look(&config).unwrap();
        assert!(found.iter().all(|it| it.verdict == Verdict::Problem), "{found:?}");
        assert!(found.iter().all(|it| !it.text.contains("hush")), "{found:?}");
        assert_eq!(judge("k", "h", Ok("answers".to_owned())).text, "k: h answers");
    }
}
