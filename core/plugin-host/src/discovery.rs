//! Finds installed plugins: `<dir>/<id>/<version>/plugin.toml`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use semver::Version;

use crate::manifest::{Manifest, ManifestError};

/// An installed plugin: its highest version.
#[derive(Debug, Clone)]
pub struct Package {
    /// The name of its folder.
    pub id: String,
    pub version: String,
    pub folder: PathBuf,
    /// Its manifest, or why it cannot be used.
    pub manifest: Result<Manifest, ManifestError>,
}

/// All plugins in these folders by id; the first folder that has an id wins. Folders that do not exist are
/// empty.
///
/// # Errors
/// A folder exists and cannot be read.
pub fn find(dirs: &[PathBuf]) -> io::Result<Vec<Package>> {
    let mut found = BTreeMap::new();
    for dir in dirs {
        for (id, folder) in folders(dir)? {
            if let Some(package) = newest(&id, &folder)? {
                found.entry(id).or_insert(package);
            }
        }
    }
    Ok(found.into_values().collect())
}

fn newest(id: &str, folder: &Path) -> io::Result<Option<Package>> {
    let versions = folders(folder)?
        .into_iter()
        .filter(|(_, it)| it.join("plugin.toml").is_file());
    let versions = versions.map(|(name, folder)| (Version::parse(&name).ok(), name, folder));
    let Some((_, version, folder)) = versions.max_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1))) else {
        return Ok(None);
    };
    let manifest = Manifest::read(&folder).and_then(|manifest| {
        let told = (manifest.id.as_str(), manifest.version.to_string());
        if told == (id, version.clone()) {
            return Ok(manifest);
        }
        let problem = format!("says {} {}, but lies in {id}/{version}: move it", told.0, told.1);
        Err(ManifestError {
            path: folder.join("plugin.toml"),
            problem,
        })
    });
    Ok(Some(Package {
        id: id.to_owned(),
        version,
        folder,
        manifest,
    }))
}

fn folders(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", dir.display()),
            ));
        }
    };
    let entries = entries.flatten().filter(|it| it.path().is_dir());
    let named = entries.filter_map(|it| Some((it.file_name().to_str()?.to_owned(), it.path())));
    Ok(named.filter(|(name, _)| !name.starts_with('.')).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::find;

    fn stage(dir: &Path, folder: &str, id: &str, version: &str) {
        let folder = dir.join(folder);
        fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[plugin]\nid = \"{id}\"\nversion = \"{version}\"\nname = {{ en = \"x\", zh = \"x\" }}\n\
             kind = \"native\"\nabi = \"0.1\"\nlibrary = \"libx.so\"\nbot = \"*\"\n"
        );
        fs::write(folder.join("plugin.toml"), text).unwrap();
    }

    #[test]
    fn the_highest_version_of_the_first_folder_wins() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        stage(&first, "org.a/0.9.0", "org.a", "0.9.0");
        stage(&first, "org.a/0.10.0", "org.a", "0.10.0");
        stage(&first, "org.a/0.10.0-rc.1", "org.a", "0.10.0-rc.1");
        fs::create_dir_all(first.join("org.a/9.9.9")).unwrap();
        stage(&second, "org.a/7.0.0", "org.a", "7.0.0");
        stage(&second, "org.b/1.0.0", "org.c", "1.0.0");
        stage(&second, ".org.d/1.0.0", "org.d", "1.0.0");

        let found = find(&[first, dir.path().join("missing"), second]).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|it| (it.id.as_str(), it.version.as_str()))
            .collect();
        assert_eq!(seen, [("org.a", "0.10.0"), ("org.b", "1.0.0")]);
        assert!(found[0].manifest.is_ok());
        let problem = found[1].manifest.as_ref().unwrap_err().to_string();
        assert!(
            problem.contains("says org.c 1.0.0") && problem.contains("org.b/1.0.0"),
            "{problem}"
        );
    }
}
