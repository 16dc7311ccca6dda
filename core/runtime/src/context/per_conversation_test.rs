//! [`super::per_conversation`] under every schedule that shuttle finds.

use shuttle::sync::atomic::{AtomicUsize, Ordering};

/// The same source, with shuttle's synchronization points.
#[path = "per_conversation.rs"]
#[expect(dead_code, reason = "not all of it is exercised here")]
#[expect(clippy::duplicate_mod, reason = "built a second time, from other parts")]
mod per_conversation;

mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

use bedside_contract::ConversationKey;
use per_conversation::PerConversation;
use sync::Arc;

const CALLERS: usize = 3;
const CALLS: usize = 2;

#[derive(Default)]
struct World {
    runners: Arc<PerConversation<()>>,
    /// What waits in the store.
    waiting: AtomicUsize,
    at_work: AtomicUsize,
}

/// As lanes and deliveries do: what there is, until there is nothing.
fn wake(world: &World, conversation: &ConversationKey) {
    let Ok(mut runner) = world.runners.enter(conversation) else {
        return;
    };
    loop {
        assert_eq!(world.at_work.fetch_add(1, Ordering::SeqCst), 0, "two at work");
        world.waiting.swap(0, Ordering::SeqCst);
        world.at_work.fetch_sub(1, Ordering::SeqCst);
        match runner.leave() {
            None => return,
            Some(again) => runner = again,
        }
    }
}

#[test]
fn one_runner_at_a_time_and_no_call_overlooked() {
    let scenario = || {
        let world = Arc::new(World::default());
        let conversation = ConversationKey::new("web", "page", "a");
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (world, conversation) = (Arc::clone(&world), conversation.clone());
                shuttle::thread::spawn(move || {
                    for _ in 0..CALLS {
                        world.waiting.fetch_add(1, Ordering::SeqCst);
                        wake(&world, &conversation);
                    }
                })
            })
            .collect();
        for it in callers {
            it.join().unwrap();
        }
        assert_eq!(
            world.waiting.load(Ordering::SeqCst),
            0,
            "something was overlooked"
        );
        assert!(world.runners.is_empty());
    };
    shuttle::check_random(scenario, 3_000);
    shuttle::check_pct(scenario, 3_000, 3);
}

#[test]
fn a_runner_that_ends_early_makes_room() {
    shuttle::check_random(
        || {
            let runners = Arc::new(PerConversation::<()>::default());
            let conversation = ConversationKey::new("web", "page", "a");
            let other = {
                let (runners, conversation) = (Arc::clone(&runners), conversation.clone());
                shuttle::thread::spawn(move || drop(runners.enter(&conversation)))
            };
            drop(runners.enter(&conversation));
            other.join().unwrap();
            assert!(runners.is_idle(&conversation) && runners.enter(&conversation).is_ok());
        },
        1_000,
    );
}
