//! Races: a user who swaps what lies in a folder at the very moment in which another one works there.
//! Whatever becomes of the registry, the other's files stay as they are.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pk_tests::{Imprint, Ports, Running, Shared, TestEnv};

use super::quick;

/// How often the victim tries.
const ROUNDS: usize = 60;

/// A folder of files that are nobody else's business, and one of which can be reached by a hard link
/// where links are not protected.
struct Treasure {
    folder: PathBuf,
    before: Vec<(PathBuf, Option<Imprint>)>,
}

impl Treasure {
    fn of(env: &TestEnv) -> Treasure {
        let folder = env.root().join("home/private");
        fs::create_dir(&folder).unwrap();
        // Such names as are swept, besides.
        for name in [
            "precious",
            "registry.json.tmp-1-0",
            ".env",
            "61001.json.tmp-1-0",
        ] {
            let path = folder.join(name);
            fs::write(&path, "precious").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(env.uid()), Some(env.uid())).unwrap();
        }
        chown(&folder, Some(env.uid()), Some(env.uid())).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o711)).unwrap();
        let before = Treasure::look(&folder);
        Treasure { folder, before }
    }

    fn look(folder: &Path) -> Vec<(PathBuf, Option<Imprint>)> {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let seen = |path: PathBuf| (path.clone(), Imprint::of(&path));
        paths.into_iter().map(seen).collect()
    }

    fn precious(&self) -> PathBuf {
        self.folder.join("precious")
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(Treasure::look(&self.folder), self.before);
    }
}

/// The second user, doing harm until it is told to stop.
fn vandal(shared: &Shared, env: &TestEnv, words: [&str; 3]) -> Running {
    let actor = shared.actor(Path::new(env!("CARGO_BIN_EXE_actor")));
    let mut command = env.command(actor);
    command.args(words).stdin(Stdio::piped());
    let mut running = env.start(command);
    assert_eq!(running.line(), "up");
    running
}

/// Ends it; it must have been in the way.
fn stop(mut vandal: Running) {
    vandal.close_stdin();
    assert!(vandal.number() > 100, "hardly ever in the way");
    drop(vandal.end());
}

/// Every command must end, in good order, whatever it finds.
#[track_caller]
fn try_all(ann: &TestEnv, options: &str, lines: &[String]) {
    for round in 0..ROUNDS {
        let line = &lines[round % lines.len()];
        let script = format!("umask 002; portkeeper {options} --lock-timeout 200ms {line}");
        let answer = quick(ann.sh(&script)).sane();
        let code = answer.code.unwrap();
        assert!([0, 3, 4, 5, 6, 7, 8, 9].contains(&code), "{answer:?}");
    }
}

#[test]
fn a01_f62_what_is_swapped_in_the_folder_of_a_group_reaches_nobodys_files() {
    let Some(shared) = Shared::of_group() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(8), shared.user(0), shared.user(1));
    let treasure = Treasure::of(&ann);
    let (folder, precious) = (shared.folder(), treasure.precious());
    let words = [
        "vandal",
        folder.to_str().unwrap(),
        precious.to_str().unwrap(),
    ];
    let vandal = vandal(&shared, &bob, words);
    let env_file = format!(
        "--write-env PORT --env-path {}",
        shared.path(".env").display()
    );
    let lines = [
        format!("reserve {} {env_file}", ports.range()),
        format!("reserve --hold {}", ports.range()),
        "gc".to_owned(),
        "release --mine".to_owned(),
        "status".to_owned(),
    ];
    try_all(&ann, "", &lines);
    stop(vandal);
    treasure.is_untouched();
}

#[test]
fn f62_what_is_swapped_in_a_machine_wide_folder_reaches_nobodys_files_and_stops_nobody() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(8), shared.user(0), shared.user(1));
    let treasure = Treasure::of(&ann);
    let (folder, precious) = (shared.folder(), treasure.precious());
    let words = [
        "vandal",
        folder.to_str().unwrap(),
        precious.to_str().unwrap(),
    ];
    let vandal = vandal(&shared, &bob, words);
    for _ in 0..ROUNDS / 4 {
        quick(ann.pk(format!("reserve {}", ports.range()))).ok();
        quick(ann.pk(format!("reserve --hold {}", ports.range()))).ok();
        assert_eq!(ann.reserved().len(), 2);
        quick(ann.pk("gc")).ok();
        quick(ann.pk("release --mine")).ok();
    }
    stop(vandal);
    treasure.is_untouched();
}

/// The folder of the registry lies in one of the other user's, who leads its path elsewhere.
#[test]
fn a15_a_path_that_leads_elsewhere_half_way_changes_nothing_there() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (bob, root) = (shared.user(1), shared.superuser());
    let treasure = Treasure::of(&root);
    let parent = shared.root().join("parent");
    let folder = parent.join("folder");
    for (path, owner) in [(&parent, 61_002), (&folder, 0)] {
        fs::create_dir(path).unwrap();
        chown(path, Some(owner), None).unwrap();
    }
    // A place that root would distrust for itself, so that nothing is made in it either.
    fs::set_permissions(&treasure.folder, Permissions::from_mode(0o777)).unwrap();
    let target = treasure.folder.to_str().unwrap();
    let vandal = vandal(&shared, &bob, ["swap", folder.to_str().unwrap(), target]);
    let option = format!("--registry {}/registry.json", folder.display());
    let lines = ["reserve", "gc", "release --mine"].map(str::to_owned);
    try_all(&root, &option, &lines);
    stop(vandal);
    treasure.is_untouched();
}
