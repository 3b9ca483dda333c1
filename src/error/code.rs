//! The names of the gRPC status codes.

use tonic::Code;

/// The name of each code, at the position of its number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Returns the name of a code as Google's documentation writes it: `PERMISSION_DENIED`, for example.
pub(crate) fn code_name(code: Code) -> &'static str {
    NAMES.get(code as usize).copied().unwrap_or("UNKNOWN")
}

/// Returns the code with this name, in upper or lower case, or with this number.
#[cfg(any(feature = "credential-files", feature = "emulator"))]
pub(crate) fn code_from_name(text: &str) -> Option<Code> {
    let is_text = |number: &usize| NAMES[*number].eq_ignore_ascii_case(text) || number.to_string() == text;
    (0..NAMES.len()).find(is_text).map(|number| Code::from_i32(number as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_name_of_its_variant() {
        for number in 0..NAMES.len() {
            let code = Code::from_i32(number as i32);
            let words = code_name(code).replace('_', "").to_lowercase();
            assert_eq!(words, format!("{code:?}").to_lowercase());
        }
    }

    #[cfg(feature = "emulator")]
    #[test]
    fn a_code_is_found_by_name_and_by_number() {
        for text in ["PERMISSION_DENIED", "permission_denied", "7"] {
            assert_eq!(code_from_name(text), Some(Code::PermissionDenied), "{text}");
        }
        for text in ["", "07", "17", "-1", "PERMISSION DENIED"] {
            assert_eq!(code_from_name(text), None, "{text}");
        }
    }
}
