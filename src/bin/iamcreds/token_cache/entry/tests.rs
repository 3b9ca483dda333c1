use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn identity(name: &str) -> Identity {
    Identity::new(Digest::new().with("name", name), HOUR)
}

fn start() -> Moment {
    Moment {
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        uptime: Duration::from_secs(50_000),
    }
}

/// The moment after `time` has passed, by a clock that somebody set forward or back, and after a restart or
/// without.
fn moment(passed: i64, set_by: i64, restarted: bool) -> Moment {
    let seconds = 1_800_000_000 + passed + set_by;
    let uptime = if restarted { passed } else { 50_000 + passed };
    Moment {
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()),
        uptime: Duration::from_secs(uptime.unsigned_abs()),
    }
}

fn entry(life: u64) -> Entry {
    let token = Token::new("ya29.secret", start().time + Duration::from_secs(life)).unwrap();
    Entry::new(&identity("a"), &token, start()).unwrap()
}

/// conf: I32
#[test]
fn a_token_is_fresh_until_a_margin_before_its_expiry_and_a_spare_until_a_smaller_one() {
    for (life, fresh, spare) in [(3600, 3600 - 225, 3590), (600, 450, 590), (40, 30, 36)] {
        let at = |passed| entry(life).freshness(moment(passed, 0, false));
        assert_eq!(at(0), Freshness::Fresh, "{life}");
        assert_eq!((at(fresh - 1), at(fresh)), (Freshness::Fresh, Freshness::Spare), "{life}");
        assert_eq!((at(spare - 1), at(spare)), (Freshness::Spare, Freshness::Expired), "{life}");
        assert_eq!(at(1_000_000), Freshness::Expired, "{life}");
    }
}

/// conf: I32
#[test]
fn no_jump_of_the_clock_makes_an_expired_token_usable() {
    for passed in (0..9000).step_by(50) {
        for set_by in (-20_000..20_000).step_by(500) {
            let freshness = entry(3600).freshness(moment(passed, set_by, false));
            assert!(passed < 3590 || freshness == Freshness::Expired, "{passed} s, set by {set_by} s");
            if set_by == 0 && passed < 3375 {
                assert_eq!(freshness, Freshness::Fresh, "{passed} s");
            }
        }
        // After a restart, the machine's clock is all that there is.
        let freshness = entry(3600).freshness(moment(passed, 0, true));
        assert_eq!(freshness == Freshness::Expired, passed >= 3590, "{passed} s, restarted");
        let restarted_before = entry(3600).freshness(moment(passed, -passed - 1, true));
        assert_eq!(restarted_before, Freshness::Expired, "the token is from the future");
    }
}

#[test]
fn a_slow_clock_does_not_extend_a_tokens_life() {
    // The machine's clock is two hours behind that of the issuer.
    let token = Token::new("t", start().time + 3 * HOUR).unwrap();
    let entry = Entry::new(&identity("a"), &token, start()).unwrap();
    assert_eq!(entry.freshness(moment(3589, 0, false)), Freshness::Spare);
    assert_eq!(entry.freshness(moment(3591, 0, false)), Freshness::Expired);
}

#[test]
fn a_token_that_never_expires_or_has_expired_is_not_stored() {
    for expires_at in [None, Some(start().time - Duration::from_secs(1))] {
        assert!(Entry::new(&identity("a"), &Token::new("t", expires_at).unwrap(), start()).is_none());
    }
}

fn problem(content: &[u8]) -> String {
    Entry::parse(content, &identity("a")).err().unwrap_or_else(|| panic!("{}", content.escape_ascii()))
}

/// conf: I31
#[test]
fn no_change_of_a_file_is_trusted_and_no_problem_shows_the_token() {
    let good = entry(3600).to_json().unwrap();
    let read = Entry::parse(&good, &identity("a")).unwrap();
    assert_eq!(read.token().unwrap().secret(), "ya29.secret");
    for index in 0..good.len() {
        problem(&good[..index]);
        for flip in [1, 0x20, 0x80] {
            let mut changed = good.clone();
            changed[index] ^= flip;
            // A digit of a hash in another case isn't the program's, either.
            assert!(!problem(&changed).contains("ya29"), "{index}");
        }
    }
    problem(&[&good[..], b"}"].concat());
    problem(&[&good[..], &good[..]].concat());
}

/// conf: I31
#[test]
fn a_file_of_another_version_or_another_identity_is_not_trusted() {
    assert_eq!(
        problem(br#"{"version": 2, "secret": "x"}"#),
        "has version 2, and this program writes version 1"
    );
    assert_eq!(problem(b""), "is broken");
    let other = Entry::new(&identity("b"), &Token::new("t", start().time + HOUR).unwrap(), start()).unwrap();
    assert_eq!(problem(&other.to_json().unwrap()), "has the token of another identity");
    let longer = Identity::new(Digest::new().with("name", "a"), 2 * HOUR);
    let kept = Entry::parse(&entry(3600).to_json().unwrap(), &longer);
    assert_eq!(kept.err().unwrap(), "has the token of another identity");
}
