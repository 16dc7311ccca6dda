use std::time::Instant;
use bedside_plugin_knowledge::{library::{Folder, Library, Origin}, section::Language};
#[test]
fn scratch() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conditions");
    let t = Instant::now();
    let library = Library::load(&[Folder { path: path.clone(), origin: Origin::Starter }]).unwrap();
    println!("first load {:?} ({:?})", t.elapsed(), library.build_time());
    let t = Instant::now();
    let library = Library::load(&[Folder { path, origin: Origin::Starter }]).unwrap();
    println!("second load {:?}", t.elapsed());
    drop(t);
    let text = std::fs::read_to_string("/tmp/n/kq.txt").unwrap();
    for q in text.lines() {
        let language = Language::detect(q).unwrap();
        let t = Instant::now();
        let found = library.search(language, q, &[]);
        let e = t.elapsed();
        let hits: Vec<_> = found.hits.iter().map(|it| format!("{} {:.2}", it.passage.id, it.score)).collect();
        println!("{q}\t{hits:?} {} {e:?}", found.reports);
    }
}
