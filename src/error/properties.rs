//! What holds for every command that an error advises.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::printable::printable;
use crate::properties::{text_lines, words_of_command};
use crate::shell;

const OPERATIONS: [&str; 4] = ["generate_access_token", "generate_id_token", "sign_blob", "sign_jwt"];

/// Whatever a reply, a file or a caller puts into names: a printed command runs one program with
/// those names as its arguments.
///
/// The input is a code, the reason, the service, the consumer, the permission, the account and the
/// member.
pub fn printed_commands(data: &[u8]) {
    let Some([code, reason, service, consumer, permission, account, member]) = text_lines(data) else {
        return;
    };
    let metadata = [("service", service), ("consumer", consumer), ("permission", permission)];
    let metadata: HashMap<String, String> = metadata
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let details = match reason {
        "" => ErrorDetails::new(),
        reason => ErrorDetails::with_error_info(reason, "iam.googleapis.com", metadata),
    };
    let number = code.parse().unwrap_or(7);
    let reply = ServiceError::new(Status::with_error_details(Code::from_i32(number), "no", details));
    for operation in OPERATIONS {
        let Some(cause) = RefusalCause::of(&reply, Some(operation)) else { continue };
        if let Some(command) = cause.command(account, member) {
            let consumer = consumer.strip_prefix("projects/").unwrap_or(consumer);
            holds_for_a_command(&command, &[service, consumer, permission, account, member]);
        }
    }
}

/// The command is words. Each one is a constant, a name, or an option with a name.
fn holds_for_a_command(command: &str, names: &[&str]) {
    let Some(words) = words_of_command(command) else { panic!("a shell would do more: {command:?}") };
    assert_eq!(words.first().map(String::as_str), Some("gcloud"), "{command:?}");
    for word in &words[1..] {
        let value = match word.strip_prefix("--").and_then(|option| option.split_once('=')) {
            Some((_, value)) => value,
            None => word,
        };
        let is_name =
            names.iter().any(|name| value == printable(name) || value == printable(&shell::operand(name)));
        let is_constant = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c));
        assert!(is_constant || is_name, "{word:?} in {command:?}");
    }
    // A name that starts with a dash would be an option.
    let options = words.iter().filter(|word| word.starts_with('-'));
    let known = ["--member=", "--role=", "--project=", "--scopes="];
    for option in options {
        assert!(known.iter().any(|known| option.starts_with(known)), "{option:?} in {command:?}");
    }
    assert!(!command.contains(char::is_control), "{command:?}");
}
