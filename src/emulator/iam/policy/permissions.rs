//! The permissions that the emulator checks, besides those of the four methods.

pub(crate) use crate::roles::{
    GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, IMPLICIT_DELEGATION, SIGN_BLOB, SIGN_JWT, USE_SERVICES,
};

pub(crate) const ACT_AS: &str = "iam.serviceAccounts.actAs";
pub(crate) const CREATE_ACCOUNT: &str = "iam.serviceAccounts.create";
pub(crate) const DELETE_ACCOUNT: &str = "iam.serviceAccounts.delete";
pub(crate) const DISABLE_ACCOUNT: &str = "iam.serviceAccounts.disable";
pub(crate) const ENABLE_ACCOUNT: &str = "iam.serviceAccounts.enable";
pub(crate) const GET_ACCOUNT: &str = "iam.serviceAccounts.get";
pub(crate) const GET_ACCOUNT_POLICY: &str = "iam.serviceAccounts.getIamPolicy";
pub(crate) const LIST_ACCOUNTS: &str = "iam.serviceAccounts.list";
pub(crate) const SET_ACCOUNT_POLICY: &str = "iam.serviceAccounts.setIamPolicy";
pub(crate) const UNDELETE_ACCOUNT: &str = "iam.serviceAccounts.undelete";
pub(crate) const UPDATE_ACCOUNT: &str = "iam.serviceAccounts.update";

pub(crate) const CREATE_KEY: &str = "iam.serviceAccountKeys.create";
pub(crate) const DELETE_KEY: &str = "iam.serviceAccountKeys.delete";
pub(crate) const GET_KEY: &str = "iam.serviceAccountKeys.get";
pub(crate) const LIST_KEYS: &str = "iam.serviceAccountKeys.list";

pub(crate) const GET_PROJECT: &str = "resourcemanager.projects.get";
pub(crate) const GET_PROJECT_POLICY: &str = "resourcemanager.projects.getIamPolicy";
pub(crate) const SET_PROJECT_POLICY: &str = "resourcemanager.projects.setIamPolicy";

pub(crate) const DISABLE_SERVICE: &str = "serviceusage.services.disable";
pub(crate) const ENABLE_SERVICE: &str = "serviceusage.services.enable";
pub(crate) const GET_SERVICE: &str = "serviceusage.services.get";

/// The permissions to act as a service account without its key.
pub(super) const ON_TOKENS: [&str; 5] =
    [GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, IMPLICIT_DELEGATION, SIGN_BLOB, SIGN_JWT];

/// The permissions to manage service accounts, without those that decide who else may.
pub(super) const MANAGE_ACCOUNTS: [&str; 9] = [
    CREATE_ACCOUNT,
    DELETE_ACCOUNT,
    DISABLE_ACCOUNT,
    ENABLE_ACCOUNT,
    GET_ACCOUNT,
    GET_ACCOUNT_POLICY,
    LIST_ACCOUNTS,
    UNDELETE_ACCOUNT,
    UPDATE_ACCOUNT,
];

/// The permissions on the keys of service accounts.
pub(super) const ON_KEYS: [&str; 4] = [CREATE_KEY, DELETE_KEY, GET_KEY, LIST_KEYS];

/// The permissions on the APIs of a project.
pub(super) const ON_SERVICES: [&str; 4] = [DISABLE_SERVICE, ENABLE_SERVICE, GET_SERVICE, USE_SERVICES];

/// The permissions on service accounts that a policy may name, in the order in which errors list them.
pub(super) const ON_ACCOUNTS: [&str; 16] = [
    GET_ACCESS_TOKEN,
    GET_OPEN_ID_TOKEN,
    IMPLICIT_DELEGATION,
    SIGN_BLOB,
    SIGN_JWT,
    ACT_AS,
    CREATE_ACCOUNT,
    DELETE_ACCOUNT,
    DISABLE_ACCOUNT,
    ENABLE_ACCOUNT,
    GET_ACCOUNT,
    GET_ACCOUNT_POLICY,
    LIST_ACCOUNTS,
    SET_ACCOUNT_POLICY,
    UNDELETE_ACCOUNT,
    UPDATE_ACCOUNT,
];
