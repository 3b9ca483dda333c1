//! TLS.

use crate::support::emulator::EMAIL;
use gcp_iam_credentials::emulator::{Emulator, Fault};

#[cfg(feature = "tls-ring")]
#[tokio::test]
async fn tls_uses_a_certificate_of_the_emulators_own_authority() {
    use crate::support::emulator::{access_token, with_bearer};
    use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
    use tonic::transport::{Certificate, Channel, ClientTlsConfig};

    let emulator = Emulator::builder().tls().start().await.unwrap();
    assert!(emulator.endpoint().starts_with("https://127.0.0.1:"));
    let stub = async |tls: ClientTlsConfig| {
        let channel = Channel::from_shared(emulator.endpoint().to_owned()).unwrap().tls_config(tls).unwrap();
        let mut stub = IamCredentialsClient::new(channel.connect_lazy());
        stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await
    };
    let authority = Certificate::from_pem(emulator.ca_pem().unwrap());
    stub(ClientTlsConfig::new().ca_certificate(authority.clone())).await.unwrap();
    let google =
        ClientTlsConfig::new().ca_certificate(authority).domain_name("iamcredentials.googleapis.com");
    stub(google).await.unwrap();
    let other = Emulator::builder().tls().start().await.unwrap();
    let stranger = Certificate::from_pem(other.ca_pem().unwrap());
    stub(ClientTlsConfig::new().ca_certificate(stranger)).await.expect_err("another authority");
    emulator.inject(Fault::reset().times(1));
    stub(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(emulator.ca_pem().unwrap())))
        .await
        .expect_err("the connection is reset");
    let (_, file) = (emulator.endpoint(), emulator.service_account_key_json(EMAIL));
    assert!(file.contains("https://127.0.0.1:"), "{file}");
}
