#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]
use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::SystemTime;

use super::*;
use crate::failure::Exit;

const HOUR: Duration = Duration::from_secs(3600);

/// A cache in a temporary folder, what it said, and how often it minted.
struct Bench {
    root: tempfile::TempDir,
    cache: TokenCache,
    said: Rc<RefCell<Vec<String>>>,
    minted: RefCell<u32>,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let said: Rc<RefCell<Vec<String>>> = Rc::default();
        let heard = Rc::clone(&said);
        let mut cache = TokenCache::new(Some(Folder::at(root.path().join("cache/iamcreds"))));
        cache.notice = Box::new(move |text| heard.borrow_mut().push(text.to_owned()));
        Self { root, cache, said, minted: RefCell::default() }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("cache/iamcreds")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{}.json", identity(name).name()))
    }

    /// Returns the token of a run. Each minted token has another number.
    fn token(&self, name: &str) -> String {
        self.cache.token(&identity(name), |_| self.mint(name)).unwrap().secret().to_owned()
    }

    fn mint(&self, name: &str) -> Result<Minted, Failure> {
        *self.minted.borrow_mut() += 1;
        let text = format!("{name}-{}", self.minted.borrow());
        Ok(Minted::Keep(Token::new(text, SystemTime::now() + HOUR).unwrap()))
    }

    /// Returns what was said since the last time.
    fn said(&self) -> String {
        self.said.borrow_mut().drain(..).collect::<Vec<_>>().join("\n")
    }

    fn set_time(&mut self, passed: Duration) {
        self.cache.clock = Box::new(move || {
            let now = Moment::now();
            Moment { time: now.time + passed, uptime: now.uptime + passed }
        });
    }
}

fn identity(name: &str) -> Identity {
    Identity::new(Digest::new().with("name", name), HOUR)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// conf: I30
#[test]
fn a_token_is_minted_once_and_each_identity_has_its_own() {
    let bench = Bench::new();
    for _ in 0..3 {
        assert_eq!(bench.token("a"), "a-1");
        assert_eq!(bench.token("b"), "b-2");
    }
    assert_eq!((mode(&bench.folder()), mode(&bench.file("a"))), (0o700, 0o600));
    assert_eq!(fs::read_dir(bench.folder()).unwrap().count(), 2, "only tokens are left");
    assert_eq!(bench.said(), "");
    assert!(TokenCache::off().token(&identity("a"), |_| bench.mint("a")).unwrap().secret() == "a-3");
}

/// conf: I31
#[test]
fn a_file_that_cannot_be_trusted_is_named_in_one_line_and_replaced() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 8] = [
        ("is broken", |path| fs::write(path, "").unwrap()),
        ("is broken", |path| fs::write(path, &fs::read(path).unwrap()[..100]).unwrap()),
        ("is too large", |path| fs::write(path, " ".repeat(100_000)).unwrap()),
        ("has version 9", |path| fs::write(path, r#"{"version": 9}"#).unwrap()),
        ("mode 0640", |path| fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap()),
        ("mode 0604", |path| fs::set_permissions(path, Permissions::from_mode(0o604)).unwrap()),
        ("is a symbolic link", |path| {
            let moved = path.with_extension("moved");
            fs::rename(path, &moved).unwrap();
            symlink(moved, path).unwrap();
        }),
        ("is no file", |path| {
            fs::remove_file(path).unwrap();
            assert!(Command::new("mkfifo").args(["-m", "600"]).arg(path).status().unwrap().success());
        }),
    ];
    let bench = Bench::new();
    let mut number = 1;
    for (problem, damage) in damages {
        assert_eq!(bench.token("a"), format!("a-{number}"), "before: {problem}");
        damage(&bench.file("a"));
        number += 1;
        assert_eq!(bench.token("a"), format!("a-{number}"), "{problem}");
        let said = bench.said();
        assert!(said.contains(problem) && said.lines().count() == 1, "{problem}: {said}");
        assert!(!said.contains("a-"), "{said}");
        assert_eq!((bench.token("a"), bench.said()), (format!("a-{number}"), String::new()));
        assert_eq!(mode(&bench.file("a")), 0o600);
    }
}

/// conf: I31
#[test]
fn a_file_or_a_folder_of_another_user_is_not_trusted() {
    let bench = Bench::new();
    bench.token("a");
    // Only root can give files away.
    if std::os::unix::fs::chown(bench.file("a"), Some(12345), None).is_err() {
        return;
    }
    assert_eq!((bench.token("a"), bench.token("a")), ("a-2".to_owned(), "a-2".to_owned()));
    let said = bench.said();
    assert!(said.contains("another user (uid 12345)") && said.lines().count() == 1, "{said}");

    std::os::unix::fs::chown(bench.folder(), Some(12345), None).unwrap();
    assert_eq!((bench.token("a"), bench.token("a")), ("a-3".to_owned(), "a-4".to_owned()));
    let said = bench.said();
    assert!(said.contains("so no token is cached") && said.lines().count() == 2, "{said}");
}

/// conf: I31
#[test]
fn the_file_of_one_identity_is_not_trusted_for_another() {
    let bench = Bench::new();
    bench.token("a");
    fs::copy(bench.file("a"), bench.file("b")).unwrap();
    assert_eq!(bench.token("b"), "b-2");
    assert!(bench.said().contains("has the token of another identity"));
}

/// conf: I31
#[test]
fn a_folder_that_is_open_to_others_is_closed_and_a_linked_one_is_not_used() {
    let bench = Bench::new();
    bench.token("a");
    fs::set_permissions(bench.folder(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bench.token("a"), "a-1");
    let said = bench.said();
    assert!(said.contains("mode 0755") && said.lines().count() == 1, "{said}");
    assert_eq!(mode(&bench.folder()), 0o700);

    let moved = bench.root.path().join("moved");
    fs::rename(bench.folder(), &moved).unwrap();
    symlink(&moved, bench.folder()).unwrap();
    assert_eq!((bench.token("a"), bench.token("a")), ("a-2".to_owned(), "a-3".to_owned()));
    let said = bench.said();
    assert!(said.contains("is no folder") && said.lines().count() == 2, "{said}");
}

/// conf: I33
#[test]
fn what_cannot_be_written_or_locked_does_not_stop_a_token() {
    let bench = Bench::new();
    fs::create_dir_all(bench.file("a").join("in the way")).unwrap();
    fs::set_permissions(bench.folder(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!((bench.token("a"), bench.token("a")), ("a-1".to_owned(), "a-2".to_owned()));
    assert!(bench.said().contains("can't be written"));
    let left = fs::read_dir(bench.folder()).unwrap().flatten().map(|entry| entry.path());
    assert!(left.into_iter().all(|path| path.extension().unwrap() != "tmp"), "a temporary file was left");

    symlink("/dev/full", bench.folder().join(format!("{}.lock", identity("b").name()))).unwrap();
    assert_eq!(bench.token("b"), "b-3");
    assert!(bench.said().contains("can't be locked"));
    assert_eq!((bench.token("b"), bench.said()), ("b-3".to_owned(), String::new()));

    let nowhere = TokenCache::new(Some(Folder::at("/proc/no/such/folder")));
    assert_eq!(nowhere.token(&identity("a"), |_| bench.mint("a")).unwrap().secret(), "a-4");
}

/// conf: I32
#[test]
fn a_spare_token_is_used_if_minting_fails_or_if_another_run_mints() {
    let mut bench = Bench::new();
    bench.token("a");
    bench.set_time(HOUR - Duration::from_secs(100));
    let failing = |limit: Option<Duration>| {
        assert_eq!(limit, Some(SPARE_PATIENCE));
        Err(Failure::new(Exit::Denied, "refused"))
    };
    assert_eq!(bench.cache.token(&identity("a"), failing).unwrap().secret(), "a-1");
    let interrupted = bench.cache.token(&identity("a"), |_| Err(Failure::signal(Exit::Interrupted)));
    assert!(interrupted.unwrap_err().is_by_signal(), "Ctrl-C gets no token");
    let lock = bench.cache.file(&identity("a")).unwrap().try_lock().unwrap().unwrap();
    assert_eq!(bench.token("a"), "a-1");
    drop(lock);
    assert_eq!(bench.token("a"), "a-2", "nobody mints, so this run does");

    bench.set_time(2 * HOUR);
    let refused = bench.cache.token(&identity("a"), |limit| {
        assert_eq!(limit, None);
        Err(Failure::new(Exit::Denied, "refused"))
    });
    assert_eq!(refused.unwrap_err().exit(), Exit::Denied, "an expired token isn't used");
}

#[test]
fn a_token_is_forgotten_only_if_it_is_the_one_that_was_refused() {
    let bench = Bench::new();
    bench.token("a");
    bench.cache.forget(&identity("a"), "another");
    assert_eq!(bench.token("a"), "a-1");
    bench.cache.forget(&identity("a"), "a-1");
    assert_eq!(bench.token("a"), "a-2");
}

#[test]
fn a_token_that_is_for_one_use_is_not_stored() {
    let bench = Bench::new();
    let once = bench
        .cache
        .token(&identity("a"), |_| bench.mint("a").map(|minted| Minted::UseOnce(minted.into_token())));
    assert_eq!(once.unwrap().secret(), "a-1");
    assert_eq!(bench.token("a"), "a-2");
}

/// conf: I30
#[test]
fn a_run_that_hangs_delays_others_for_a_limited_time() {
    let bench = Bench::new();
    let _hangs = bench.cache.file(&identity("a")).unwrap().try_lock().unwrap().unwrap();
    let before = Moment::now().uptime;
    assert_eq!((bench.token("a"), bench.token("b")), ("a-1".to_owned(), "b-2".to_owned()));
    let waited = Moment::now().uptime - before;
    assert!(waited >= LOCK_PATIENCE && waited < 3 * LOCK_PATIENCE, "{waited:?}");
    assert_eq!(bench.token("a"), "a-1", "the token was stored all the same");
}

/// conf: I34
#[test]
fn old_files_are_removed_and_those_of_others_are_not() {
    let bench = Bench::new();
    bench.token("a");
    let make = |name: &str, age: u64| {
        let path = bench.folder().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        path
    };
    let hash = |name: &str, rest: &str| format!("{}.{rest}", identity(name).name());
    let old = 13 * 3600;
    let removed = [
        make(&hash("x", "json"), old),
        make(&hash("y", "lock"), old),
        make(&hash("z", "7-8.tmp"), 90),
        make(&hash("z", "lock"), old),
    ];
    let held = make(&hash("held", "lock"), old);
    let _lock = Lock::take(&held).unwrap().unwrap();
    let kept = [
        make(&hash("x", "lock"), 60),
        make(&hash("y", "json"), 60),
        make(&hash("z", "9-9.tmp"), 10),
        make("notes.json", old),
        held,
    ];
    bench.token("b");
    for path in removed {
        assert!(!path.exists(), "{}", path.display());
    }
    for path in kept.iter().chain(&[bench.file("a"), bench.file("b")]) {
        assert!(path.exists(), "{}", path.display());
    }
}

#[test]
fn a_lock_file_that_is_removed_between_two_runs_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let first = Lock::take(&path).unwrap().unwrap();
    assert!(Lock::take(&path).unwrap().is_none());
    fs::remove_file(&path).unwrap();
    let second = Lock::take(&path).unwrap().unwrap();
    drop(first);
    assert!(path.exists() && Lock::take(&path).unwrap().is_none(), "the second lock holds");
    drop(second);
    assert!(!path.exists(), "a lock leaves nothing");
    assert!(Lock::take(&path).unwrap().is_some());
}
