//! Manual pages: one a command, as a reader of them renders it.

use std::os::unix::fs::PermissionsExt;

use pk_tests::{TestEnv, has, skipped};

#[test]
fn every_command_has_a_page_that_renders() {
    let env = TestEnv::new();
    let folder = env.path("man1");
    std::fs::create_dir(&folder).unwrap();
    env.pk("man man1").ok();
    let help = env.pk("--help").ok().stdout;
    let commands = help
        .lines()
        .take_while(|line| !line.starts_with("Options"))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for command in commands {
        let page = folder.join(format!("portkeeper-{command}.1"));
        assert!(page.is_file(), "{command}");
        count += 1;
    }
    assert!(count > 10, "{help}");
    assert!(folder.join("portkeeper-env-set.1").is_file());

    if !has("groff") {
        return skipped("manual pages: no groff");
    }
    for page in std::fs::read_dir(&folder).unwrap() {
        let mut groff = env.command("groff");
        groff
            .args(["-man", "-Kutf8", "-Tutf8", "-ww", "-P-cbou"])
            .arg(page.unwrap().path());
        let answer = env.run(groff).ok();
        assert_eq!(answer.stderr, "");
        assert!(answer.stdout.contains("SYNOPSIS"), "{answer:?}");
    }
}

#[test]
fn pages_are_written_again_and_keep_their_mode() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("man1")).unwrap();
    env.pk("man man1").ok();
    let page = env.path("man1/portkeeper.1");
    std::fs::write(&page, "old").unwrap();
    std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o604)).unwrap();
    env.pk("man man1").ok();
    let printed = env.pk("man").ok().stdout;
    assert_eq!(std::fs::read_to_string(&page).unwrap(), printed);
    assert_eq!(page.metadata().unwrap().permissions().mode() & 0o777, 0o604);
    let names = std::fs::read_dir(env.path("man1")).unwrap();
    let litter = names.filter(|it| {
        let name = it.as_ref().unwrap().file_name();
        !name.to_str().unwrap().ends_with(".1")
    });
    assert_eq!(litter.count(), 0);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let env = TestEnv::new();
    env.pk("man nowhere").refused(7).says("nowhere");
}
