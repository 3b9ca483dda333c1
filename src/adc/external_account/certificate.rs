//! The field `credential_source.certificate`: a client certificate proves the identity (X.509).

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::subject_tokens::{CERTIFICATE as KIND, source_in};
use crate::Error;
use crate::adc::credential_file::Fields;
use crate::adc::reader::Reader;
use crate::adc::settings::Settings;
use crate::credentials::Network;
use crate::http_client::HttpClient;
use crate::source::external::{
    CertificateFiles, CertificateSource, ClientCertificate, ExternalAccount, SubjectTokenSource, is_path,
};
use crate::sts_protocol::CERTIFICATE_TYPE;

const CERTIFICATE: &str = "credential_source.certificate";

const USE_DEFAULT: &str = "use_default_certificate_config";
const LOCATION: &str = "certificate_config_location";
const TRUST_CHAIN: &str = "trust_chain_path";

/// The variables that name the default config, the preferred one first.
const VARIABLES: [&str; 2] =
    ["GOOGLE_API_CERTIFICATE_CONFIG", "CLOUDSDK_CONTEXT_AWARE_CERTIFICATE_CONFIG_FILE_PATH"];
/// The default config in gcloud's folder, if no variable names one.
const CONFIG_FILE: &str = "certificate_config.json";

/// The certificates that the credentials of one builder show. Those that show the same one share their
/// connections.
#[derive(Default)]
struct Certificates(Mutex<HashMap<CertificateFiles, Connections>>);

/// Connections that show a certificate.
#[derive(Clone)]
struct Connections {
    certificate: Arc<ClientCertificate>,
    http: HttpClient,
    network: Network,
}

impl Certificates {
    fn get(&self, settings: &Settings, files: CertificateFiles) -> Result<Connections, Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = known.get(&files) {
            return Ok(connections.clone());
        }
        let http = settings.network.own_http(settings.variables)?;
        let certificate = Arc::new(ClientCertificate::new(files.clone(), http.clone()));
        let network = settings.network.with_changing_identity(Arc::clone(&certificate) as _);
        let connections = Connections { certificate, http, network };
        known.insert(files, connections.clone());
        Ok(connections)
    }
}

#[cfg(test)]
pub(in crate::adc) fn shown_certificates(network: &Network) -> usize {
    network.certificates::<Certificates>().0.lock().unwrap().len()
}

impl Reader {
    /// Returns the reader of the identity in an object. If a client certificate proves the identity, it
    /// is one for credentials whose connections show it.
    pub(super) fn for_identity(&self, fields: Fields<'_>) -> Result<Cow<'_, Self>, Error> {
        // The other fields come first: an error here is found again, after theirs.
        let Ok((source, KIND)) = source_in(fields) else { return Ok(Cow::Borrowed(self)) };
        let Some(certificate) = source.section(CERTIFICATE)? else { return Ok(Cow::Borrowed(self)) };
        let files = self.certificate_files(certificate)?;
        let shown = self.settings.network.certificates::<Certificates>().get(&self.settings, files)?;
        let settings = Settings {
            http: shown.http,
            network: shown.network,
            client_certificate: Some(shown.certificate),
            ..self.settings.clone()
        };
        Ok(Cow::Owned(Self { settings, ..self.clone() }))
    }

    /// Returns whether connections show a client certificate.
    pub(super) fn shows_certificate(&self) -> bool {
        self.settings.client_certificate.is_some()
    }

    /// Reads the certificate as a source of subject tokens.
    pub(super) fn certificate(
        &self,
        source: Fields<'_>,
        account: &ExternalAccount,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        if *account.subject_token_type != *CERTIFICATE_TYPE {
            let expectation = format!("can be used only if `subject_token_type` is {CERTIFICATE_TYPE:?}");
            return Err(source.invalid(KIND, expectation));
        }
        match &self.settings.client_certificate {
            Some(certificate) => Ok(Box::new(CertificateSource(Arc::clone(certificate)))),
            None => Err(source.invalid(KIND, "must be an object, got nothing")),
        }
    }

    /// Reads where the certificate is. The config must exist, and the files that it names needn't yet.
    fn certificate_files(&self, fields: Fields<'_>) -> Result<CertificateFiles, Error> {
        let location = optional_path(fields, LOCATION)?;
        let (config, field) = match (fields.flag(USE_DEFAULT)?, location) {
            (false, Some(location)) => (location, LOCATION),
            (true, None) => (self.default_config(fields)?, USE_DEFAULT),
            (true, Some(_)) => {
                let expectation = format!("must not be set if `{USE_DEFAULT}` is true");
                return Err(fields.invalid(LOCATION, expectation));
            }
            (false, None) => {
                let expectation = format!("must be set, unless `{USE_DEFAULT}` is true");
                return Err(fields.invalid(LOCATION, expectation));
            }
        };
        let trust_chain = optional_path(fields, TRUST_CHAIN)?;
        let files = CertificateFiles { config, trust_chain };
        files.check_config().map_err(|problem| fields.locate(problem.into_invalid(field)))?;
        Ok(files)
    }

    fn default_config(&self, fields: Fields<'_>) -> Result<PathBuf, Error> {
        let named = VARIABLES.into_iter().find_map(self.settings.variables);
        let in_folder = || self.settings.gcloud_folder.as_ref().map(|folder| folder.join(CONFIG_FILE));
        named.map(PathBuf::from).or_else(in_folder).ok_or_else(|| {
            let expectation = "must not be true, because there is no home folder to search";
            let advice = format!("set the variable {} to the certificate config", VARIABLES[0]);
            fields.invalid(USE_DEFAULT, expectation).fix_by(advice)
        })
    }
}

fn optional_path(fields: Fields<'_>, field: &'static str) -> Result<Option<PathBuf>, Error> {
    match fields.optional_text(field)? {
        Some(text) if !is_path(text) => Err(fields.invalid(field, "must be a path")),
        path => Ok(path.map(PathBuf::from)),
    }
}
