//! The methods, with what errors call them and the permission that each needs.

use crate::emulator::called_method::CalledMethod;
use crate::emulator::iam::policy::permissions;

/// A method of IAM's own API, of Cloud Resource Manager or of Service Usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    GetAccount,
    ListAccounts,
    CreateAccount,
    PatchAccount,
    EnableAccount,
    DisableAccount,
    DeleteAccount,
    UndeleteAccount,
    GetAccountPolicy,
    SetAccountPolicy,
    TestAccountPermissions,
    GetKey,
    ListKeys,
    CreateKey,
    DeleteKey,
    GetProject,
    GetProjectPolicy,
    SetProjectPolicy,
    TestProjectPermissions,
    GetService,
    EnableService,
    EnableServices,
    DisableService,
}

/// The interfaces that the methods belong to, with their services.
const IAM: (&str, &str) = ("iam.googleapis.com", "google.iam.admin.v1.IAM");
const PROJECTS: (&str, &str) =
    ("cloudresourcemanager.googleapis.com", "google.cloudresourcemanager.v1.Projects");
const SERVICES: (&str, &str) = ("serviceusage.googleapis.com", "google.api.serviceusage.v1.ServiceUsage");

const ACCOUNT_FIELDS: &[&str] = &[
    "name",
    "projectId",
    "uniqueId",
    "email",
    "displayName",
    "etag",
    "description",
    "oauth2ClientId",
    "disabled",
];
const KEY_FIELDS: &[&str] = &[
    "name",
    "keyAlgorithm",
    "privateKeyType",
    "privateKeyData",
    "publicKeyData",
    "validAfterTime",
    "validBeforeTime",
    "keyOrigin",
    "keyType",
];
const POLICY_FIELDS: &[&str] = &["version", "etag", "bindings"];
const PROJECT_FIELDS: &[&str] = &["projectNumber", "projectId", "lifecycleState", "name"];

/// What is known about a method.
struct Facts {
    interface: (&'static str, &'static str),
    method: &'static str,
    permission: Option<&'static str>,
    reply_fields: &'static [&'static str],
}

impl Operation {
    /// Returns the method as errors name it.
    pub(super) fn called(self) -> CalledMethod {
        let Facts { interface: (service, interface), method, .. } = self.facts();
        CalledMethod { service, interface, method }
    }

    /// Returns the permission that the caller needs. Asking for one's own permissions needs none.
    pub(super) fn permission(self) -> Option<&'static str> {
        self.facts().permission
    }

    /// Returns the fields that a reply can have.
    pub(super) fn reply_fields(self) -> &'static [&'static str] {
        self.facts().reply_fields
    }

    /// Returns the parameters that the query can have besides those of every API.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::ListAccounts => &["pageSize", "pageToken"],
            Self::GetAccountPolicy => &["options.requestedPolicyVersion"],
            Self::GetKey => &["publicKeyType"],
            Self::ListKeys => &["keyTypes"],
            _ => &[],
        }
    }

    #[rustfmt::skip]
    fn facts(self) -> Facts {
        let facts = |interface, method, permission, reply_fields| {
            Facts { interface, method, permission: Some(permission), reply_fields }
        };
        let test = |interface| {
            Facts { interface, method: "TestIamPermissions", permission: None, reply_fields: &["permissions"] }
        };
        let service = |method, permission| facts(SERVICES, method, permission, &["name", "done", "response"]);
        match self {
            Self::GetAccount => facts(IAM, "GetServiceAccount", permissions::GET_ACCOUNT, ACCOUNT_FIELDS),
            Self::ListAccounts => {
                facts(IAM, "ListServiceAccounts", permissions::LIST_ACCOUNTS, &["accounts", "nextPageToken"])
            }
            Self::CreateAccount => facts(IAM, "CreateServiceAccount", permissions::CREATE_ACCOUNT, ACCOUNT_FIELDS),
            Self::PatchAccount => facts(IAM, "PatchServiceAccount", permissions::UPDATE_ACCOUNT, ACCOUNT_FIELDS),
            Self::EnableAccount => facts(IAM, "EnableServiceAccount", permissions::ENABLE_ACCOUNT, &[]),
            Self::DisableAccount => facts(IAM, "DisableServiceAccount", permissions::DISABLE_ACCOUNT, &[]),
            Self::DeleteAccount => facts(IAM, "DeleteServiceAccount", permissions::DELETE_ACCOUNT, &[]),
            Self::UndeleteAccount => {
                facts(IAM, "UndeleteServiceAccount", permissions::UNDELETE_ACCOUNT, &["restoredAccount"])
            }
            Self::GetAccountPolicy => facts(IAM, "GetIamPolicy", permissions::GET_ACCOUNT_POLICY, POLICY_FIELDS),
            Self::SetAccountPolicy => facts(IAM, "SetIamPolicy", permissions::SET_ACCOUNT_POLICY, POLICY_FIELDS),
            Self::TestAccountPermissions => test(IAM),
            Self::GetKey => facts(IAM, "GetServiceAccountKey", permissions::GET_KEY, KEY_FIELDS),
            Self::ListKeys => facts(IAM, "ListServiceAccountKeys", permissions::LIST_KEYS, &["keys"]),
            Self::CreateKey => facts(IAM, "CreateServiceAccountKey", permissions::CREATE_KEY, KEY_FIELDS),
            Self::DeleteKey => facts(IAM, "DeleteServiceAccountKey", permissions::DELETE_KEY, &[]),
            Self::GetProject => facts(PROJECTS, "GetProject", permissions::GET_PROJECT, PROJECT_FIELDS),
            Self::GetProjectPolicy => {
                facts(PROJECTS, "GetIamPolicy", permissions::GET_PROJECT_POLICY, POLICY_FIELDS)
            }
            Self::SetProjectPolicy => {
                facts(PROJECTS, "SetIamPolicy", permissions::SET_PROJECT_POLICY, POLICY_FIELDS)
            }
            Self::TestProjectPermissions => test(PROJECTS),
            Self::GetService => {
                facts(SERVICES, "GetService", permissions::GET_SERVICE, &["name", "parent", "state"])
            }
            Self::EnableService => service("EnableService", permissions::ENABLE_SERVICE),
            Self::EnableServices => service("BatchEnableServices", permissions::ENABLE_SERVICE),
            Self::DisableService => service("DisableService", permissions::DISABLE_SERVICE),
        }
    }
}
