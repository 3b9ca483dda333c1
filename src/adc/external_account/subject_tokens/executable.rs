//! The field `credential_source.executable`: a command that prints the subject token.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::Error;
use crate::adc::credential_file::Fields;
use crate::adc::reader::Reader;
use crate::adc::target::Target;
use crate::source::external::{ExecutableSource, ExternalAccount, Running, SubjectTokenSource};
use crate::sts_protocol::{JWT_TYPES, SAML_TYPE};

const EXECUTABLE: &str = "credential_source.executable";

/// The variable that allows commands in credential files, if it is `1`.
const ALLOW_VARIABLE: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";

/// How long a command may run, in milliseconds, if its file doesn't say.
const DEFAULT_TIMEOUT: u64 = 30_000;
const TIMEOUTS: RangeInclusive<u64> = 5_000..=120_000;
/// How long a command may run that talks to a person.
const INTERACTIVE_TIMEOUTS: RangeInclusive<u64> = 30_000..=1_800_000;

impl Reader {
    /// Reads a command. It needs the consent of whoever runs the program.
    pub(super) fn executable(
        &self,
        source: Fields<'_>,
        account: &ExternalAccount,
        target: Option<&Target>,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        let Some(fields) = source.section(EXECUTABLE)? else {
            return Err(source.invalid("executable", "must be an object, got nothing"));
        };
        let (program, arguments) = command(fields)?;
        let timeout = fields.whole_number("timeout_millis", TIMEOUTS, "milliseconds")?;
        // This crate never lets a command talk to a person.
        fields.whole_number("interactive_timeout_millis", INTERACTIVE_TIMEOUTS, "milliseconds")?;
        let output_file = fields.optional_text("output_file")?;
        let is_saml = is_saml(source, account)?;
        self.check_consent(source)?;
        Ok(Box::new(ExecutableSource {
            program,
            arguments,
            variables: variables(account, target, output_file),
            time_limit: Duration::from_millis(timeout.unwrap_or(DEFAULT_TIMEOUT)),
            output_file: output_file.map(Into::into),
            is_saml,
            running: Running::default(),
        }))
    }

    fn check_consent(&self, source: Fields<'_>) -> Result<(), Error> {
        if (self.settings.variables)(ALLOW_VARIABLE).as_deref() == Some("1") {
            return Ok(());
        }
        let expectation = format!("must not be used unless the variable {ALLOW_VARIABLE} is 1");
        let advice = format!("read the command in the file, and set {ALLOW_VARIABLE}=1 if it may be run");
        Err(source.invalid("executable", expectation).fix_by(advice))
    }
}

/// Returns the program and its arguments, split as a shell does.
fn command(fields: Fields<'_>) -> Result<(Box<str>, Vec<String>), Error> {
    const FIELD: &str = "command";
    let words = shlex::split(fields.text(FIELD)?)
        .ok_or_else(|| fields.invalid(FIELD, "must be a command line, got a quote that doesn't end"))?;
    let mut words = words.into_iter();
    match words.next() {
        Some(program) if !program.is_empty() => Ok((program.into(), words.collect())),
        _ => Err(fields.invalid(FIELD, "must be a command line that starts with a program")),
    }
}

/// Returns whether the subject tokens are SAML assertions. A command can print only those and JWTs.
fn is_saml(source: Fields<'_>, account: &ExternalAccount) -> Result<bool, Error> {
    let subject_token_type = &*account.subject_token_type;
    if subject_token_type != SAML_TYPE && !JWT_TYPES.contains(&subject_token_type) {
        let expectation = format!(
            "can be used only if `subject_token_type` is {}, {} or {SAML_TYPE}",
            JWT_TYPES[0], JWT_TYPES[1]
        );
        return Err(source.invalid("executable", expectation));
    }
    Ok(subject_token_type == SAML_TYPE)
}

/// Returns the variables that tell the command what is wanted.
fn variables(
    account: &ExternalAccount,
    target: Option<&Target>,
    output_file: Option<&str>,
) -> Vec<(&'static str, String)> {
    let email = target.map(|target| target.account.account().to_owned());
    let mut variables = vec![
        ("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", account.audience.to_string()),
        ("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", account.subject_token_type.to_string()),
        ("GOOGLE_EXTERNAL_ACCOUNT_ID", email.clone().unwrap_or_default()),
        ("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0".to_owned()),
        ("GOOGLE_EXTERNAL_ACCOUNT_REVOKE", "0".to_owned()),
    ];
    variables.extend(email.map(|email| ("GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL", email)));
    variables.extend(output_file.map(|file| ("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", file.to_owned())));
    variables
}
