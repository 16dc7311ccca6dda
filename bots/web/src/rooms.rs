use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bedside_contract::{ConversationKey, InboxSeq};
use tokio::sync::broadcast;

/// Signals that an open page may fall behind by; one that does so reads the transcript again.
const BACKLOG: usize = 64;

/// Pages of one browser: nobody reads more tabs, and a program with one cookie must not take everybody's places.
const MOST_TABS: usize = 12;

/// What an open page is told. Only previews carry words; all else is read from the store.
#[derive(Clone)]
pub(crate) enum Signal {
    /// The patient's own message was accepted (perhaps from another tab).
    Accepted,
    Delivered {
        seq: InboxSeq,
    },
    Preview {
        seq: InboxSeq,
        text: Arc<str>,
    },
    Typing,
    /// This browser was told to forget its conversation.
    Forgotten,
}

/// The open pages, by conversation. A conversation without an open page takes no memory.
pub(crate) struct Rooms {
    state: Mutex<State>,
    max_open: usize,
    max_open_of_address: usize,
}

#[derive(Default)]
struct State {
    rooms: HashMap<ConversationKey, Room>,
    open: usize,
    by_address: HashMap<IpAddr, usize>,
}

struct Room {
    sender: broadcast::Sender<Signal>,
    open: usize,
    /// The answer that is being written, for a page that opens meanwhile.
    preview: Option<(InboxSeq, Arc<str>)>,
}

impl Rooms {
    pub(crate) fn new(max_open: usize, max_open_of_address: usize) -> Self {
        Self {
            state: Mutex::default(),
            max_open,
            max_open_of_address,
        }
    }

    /// `None` if too many pages are open, in all, from this address or in this conversation.
    pub(crate) fn enter(
        self: &Arc<Self>,
        conversation: &ConversationKey,
        address: Option<IpAddr>,
    ) -> Option<Visit> {
        let mut state = self.lock();
        let here = state.rooms.get(conversation).map_or(0, |it| it.open);
        let of_address = address.and_then(|it| state.by_address.get(&it).copied());
        let of_address = of_address.unwrap_or_default();
        if state.open >= self.max_open || here >= MOST_TABS || of_address >= self.max_open_of_address {
            return None;
        }
        state.open += 1;
        if let Some(address) = address {
            state.by_address.insert(address, of_address + 1);
        }
        let room = state.rooms.entry(conversation.clone()).or_insert_with(|| Room {
            sender: broadcast::channel(BACKLOG).0,
            open: 0,
            preview: None,
        });
        room.open += 1;
        Some(Visit {
            signals: room.sender.subscribe(),
            preview: room.preview.clone(),
            conversation: conversation.clone(),
            address,
            rooms: Arc::clone(self),
        })
    }

    pub(crate) fn send(&self, conversation: &ConversationKey, signal: Signal) {
        let mut state = self.lock();
        let Some(room) = state.rooms.get_mut(conversation) else {
            return;
        };
        match &signal {
            Signal::Preview { seq, text } => room.preview = Some((*seq, Arc::clone(text))),
            // An answer to a later message means that this one was cancelled (`/stop`, an emergency).
            Signal::Delivered { seq } if room.preview.as_ref().is_some_and(|it| it.0 <= *seq) => {
                room.preview = None
            }
            _ => {}
        }
        // It fails only if the last page was closed at this moment.
        let _ = room.sender.send(signal);
    }

    fn leave(&self, conversation: &ConversationKey, address: Option<IpAddr>) {
        let mut state = self.lock();
        state.open = state.open.saturating_sub(1);
        if let Some(address) = address
            && let Some(open) = state.by_address.get_mut(&address)
        {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.by_address.remove(&address);
            }
        }
        if let Some(room) = state.rooms.get_mut(conversation) {
            room.open = room.open.saturating_sub(1);
            if room.open == 0 {
                state.rooms.remove(conversation);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open page; leaves when dropped.
pub(crate) struct Visit {
    pub(crate) signals: broadcast::Receiver<Signal>,
    pub(crate) preview: Option<(InboxSeq, Arc<str>)>,
    pub(crate) conversation: ConversationKey,
    address: Option<IpAddr>,
    rooms: Arc<Rooms>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.rooms.leave(&self.conversation, self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::Arc,
    };

    use bedside_contract::{ConversationKey, InboxSeq};

    use super::{MOST_TABS, Rooms, Signal};

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

    #[test]
    fn a_room_lives_as_long_as_its_pages() {
        let rooms = Arc::new(Rooms::new(2, 9));
        let key = ConversationKey::new("web", "page", "a");
        rooms.send(&key, Signal::Typing);
        assert_eq!(rooms.lock().rooms.len(), 0);

        let first = rooms.enter(&key, HERE).unwrap();
        let second = rooms.enter(&key, HERE).unwrap();
        assert!(
            rooms
                .enter(&ConversationKey::new("web", "page", "b"), HERE)
                .is_none(),
            "the third page is one too many"
        );
        drop(first);
        assert_eq!(rooms.lock().rooms.len(), 1);
        drop(second);
        let state = rooms.lock();
        assert_eq!((state.rooms.len(), state.open, state.by_address.len()), (0, 0, 0));
    }

    #[test]
    fn one_browser_cannot_take_all_places() {
        let rooms = Arc::new(Rooms::new(1_000, 14));
        let key = ConversationKey::new("web", "page", "a");
        let tabs: Vec<_> = (0..MOST_TABS).map(|_| rooms.enter(&key, HERE).unwrap()).collect();
        assert!(rooms.enter(&key, HERE).is_none());
        let other = |name: &str, address| rooms.enter(&ConversationKey::new("web", "page", name), address);
        let others = [other("b", HERE), other("c", HERE)];
        assert!(others.iter().all(Option::is_some));
        assert!(other("d", HERE).is_none(), "nor can one address");
        assert!(other("d", Some(IpAddr::V4(Ipv4Addr::BROADCAST))).is_some());
        drop(tabs);
        assert!(rooms.enter(&key, HERE).is_some());
    }

    #[test]
    fn who_comes_late_sees_the_answer_so_far_until_it_is_delivered() {
        let rooms = Arc::new(Rooms::new(9, 9));
        let key = ConversationKey::new("web", "page", "a");
        let _first = rooms.enter(&key, HERE).unwrap();
        rooms.send(
            &key,
            Signal::Preview {
                seq: InboxSeq(3),
                text: "Drink".into(),
            },
        );
        rooms.send(&key, Signal::Delivered { seq: InboxSeq(2) });
        assert_eq!(
            rooms.enter(&key, HERE).unwrap().preview.as_ref().map(|it| &*it.1),
            Some("Drink")
        );
        rooms.send(&key, Signal::Delivered { seq: InboxSeq(3) });
        assert!(rooms.enter(&key, HERE).unwrap().preview.is_none());
    }
}
