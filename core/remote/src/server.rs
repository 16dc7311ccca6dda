//! The server's address and the client that speaks to it.

use std::time::Duration;

use reqwest::{
    Client, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{RemoteConfigError, wrong};

pub(crate) struct Server {
    client: Client,
    base: Url,
}

impl Server {
    /// Redirects are not followed and proxies of the environment not used: what a patient writes goes to
    /// the named address and nowhere else.
    pub(crate) fn new(
        base: Url,
        key: Option<&SecretString>,
        connect_timeout: Duration,
    ) -> Result<Self, RemoteConfigError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                .map_err(|_| wrong("api_key", "cannot stand in a header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .default_headers(headers)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(Duration::from_secs(20))
            .tcp_nodelay(true)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| wrong("base_url", format!("no HTTP client: {}", error.without_url())))?;
        Ok(Self { client, base })
    }

    /// For logs: it holds no user, password or query, the config refuses those.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str()
    }

    pub(crate) fn chat(&self) -> RequestBuilder {
        self.client.post(below(self.base.as_str(), "chat/completions"))
    }

    pub(crate) fn models(&self) -> RequestBuilder {
        self.client.get(below(self.base.as_str(), "models"))
    }

    /// What llama-server has beside the OpenAI-compatible part.
    pub(crate) fn beside(&self, path: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        self.client
            .get(below(base.strip_suffix("/v1").unwrap_or(base), path))
    }
}

fn below(base: &str, path: &str) -> String {
    format!("{}/{path}", base.trim_end_matches('/'))
}
