//! Work on two cores whose results come in order.

/// Two at a time; results in the order of `items`.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[&T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let work = &work;
    let results: Vec<Vec<R>> = std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(items.len().div_ceil(2).max(1))
            .map(|part| scope.spawn(move || part.iter().map(|it| work(it)).collect::<Vec<R>>()))
            .collect();
        threads.into_iter().filter_map(|it| it.join().ok()).collect()
    });
    results.into_iter().flatten().collect()
}
