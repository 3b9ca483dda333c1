#!/usr/bin/env bash
# The recipe for Terraform in docs/emulator.md: whether its file has the usual form. Running it takes the provider, which has to be
# downloaded from its own registry, so the script is skipped even then.
source "$(dirname "$0")/support.bash"

page_block emulator hcl google_service_account_access_token >"$work/main.tf"
grep -q iam_credentials_custom_endpoint "$work/main.tf" || { echo "the page has no main.tf" >&2; exit 1; }
command -v terraform >/dev/null || skip "no terraform"
cd "$work"
terraform fmt -check -diff main.tf
skip "only the form of main.tf was checked, because the provider has to be downloaded"
