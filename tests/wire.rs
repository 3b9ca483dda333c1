//! The compiled descriptors against the published contract.

#[test]
fn placeholder_until_the_table_is_written() {
    assert!(!gcp_iam_credentials::proto::FILE_DESCRIPTOR_SET.is_empty());
}
