#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gcp_iam_credentials::properties::broker_policies(data));
