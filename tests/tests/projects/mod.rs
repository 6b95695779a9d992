//! Whole projects: their ports, and the files that tell of them, all or nothing.

mod crash;
mod forms;
mod prepare;
mod refused;
mod run;
mod worktrees;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pk_tests::TestEnv;

/// Writes a file of the project, and the folders on the way.
fn write(env: &TestEnv, name: &str, text: &str) {
    let path = env.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(env: &TestEnv, name: &str) -> String {
    fs::read_to_string(env.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file below a folder, with what it holds and which inode it is.
fn all_files(folder: &Path) -> BTreeMap<String, (u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inode = path.metadata().unwrap().ino();
                let bytes = fs::read(&path).unwrap();
                all.insert(path.display().to_string(), (inode, bytes));
            }
        }
    }
    all
}

/// The port that `prepare` tells under a label.
#[track_caller]
fn port_of(answer: &serde_json::Value, label: &str) -> u16 {
    let ports = answer["ports"].as_array().expect("ports");
    let port = ports.iter().find(|port| port["label"] == label);
    let number = port.and_then(|port| port["port"].as_u64());
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or_else(|| panic!("no port {label} in {answer}"))
}
