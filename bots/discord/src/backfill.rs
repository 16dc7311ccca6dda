//! What came in while no session was there to keep it: read from the history of the known private chats.

use std::time::Duration;

use crate::{
    events::{Event, PrivateMessage, Snowflake},
    failure::RestFailure,
    rest::Rest,
};

/// Pages of one chat at most: nobody writes more than that and waits for an answer to each.
const MOST_PAGES: usize = 10;
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// All that users wrote in `channel` after `newest`, oldest first. Discord is asked until it answers: going on
/// without would lose messages.
pub(crate) async fn missed_messages(
    rest: &Rest,
    own_user: Snowflake,
    channel: Snowflake,
    newest: Snowflake,
) -> Vec<PrivateMessage> {
    let mut missed = Vec::new();
    let mut after = newest;
    let mut wait = SHORTEST_WAIT;
    let mut pages = 0;
    while pages < MOST_PAGES {
        match rest.messages_after(channel, after).await {
            Ok(page) => {
                let messages = page
                    .messages
                    .into_iter()
                    .filter_map(|it| match it.into_event(own_user) {
                        Event::Message(message) => Some(message),
                        _ => None,
                    });
                missed.extend(messages);
                let Some(next) = page.next_after else {
                    return missed;
                };
                after = next;
                pages += 1;
                wait = SHORTEST_WAIT;
            }
            Err(RestFailure::TooMany { wait, .. }) => tokio::time::sleep(wait).await,
            Err(failure) if failure.passes() || failure.is_bad_token() => {
                tracing::warn!(problem = %failure, ?wait, "A chat's missed messages cannot be read, trying again.");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(failure) => {
                tracing::info!(problem = %failure, "A chat's missed messages are out of reach.");
                return missed;
            }
        }
    }
    tracing::warn!(pages, "A chat has more missed messages than are read.");
    missed
}
