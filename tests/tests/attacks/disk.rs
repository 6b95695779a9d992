//! Attacks on those who share a disk: by filling it.

use pk_tests::TestEnv;

/// Attempts that all fail leave as many files as there were before the first.
#[test]
fn a24_failures_on_a_full_disk_collect_no_litter() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("disk")).unwrap();
    let disk = env.path("disk");
    let mount = format!(
        "mount -t tmpfs -o size=64k,mode=700 none {}",
        disk.display()
    );
    let script = "cd disk && portkeeper --registry r.json reserve >&2 || exit; \
                  cat /dev/zero > rest 2> /dev/null; \
                  before=$(ls -AR); i=0; \
                  while [ $i -lt 300 ]; do i=$((i + 1)); \
                  portkeeper --registry r.json reserve --owner $i 2> ../said && exit 9; \
                  code=$?; [ $code = 7 ] || { echo code $code; exit 9; }; done; \
                  [ \"$(ls -AR)\" = \"$before\" ] || { ls -AR; exit 9; }; \
                  portkeeper --registry r.json status --format json";
    let mut inner = env.command("sh");
    inner.args(["-c", script]);
    let Some(command) = env.unshared("-m", &mount, &inner) else {
        return;
    };
    let status = env.run(command).ok().json();
    assert_eq!(
        status["reservations"].as_array().unwrap().len(),
        1,
        "{status}"
    );
}
