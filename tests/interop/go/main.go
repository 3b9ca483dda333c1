// Google's own Go packages, unmodified, against the emulator.
//
// The packages write down Google's host names. So connections to them are led to the emulator here, over TLS:
// its certificate is good for them. The environment names the emulator (EMULATOR), its certificate authority
// (EMULATOR_CA, SSL_CERT_FILE) and its metadata server (GCE_METADATA_HOST).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/impersonate"
	"google.golang.org/api/option"
	credentials "google.golang.org/genproto/googleapis/iam/credentials/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/oauth"
	"google.golang.org/grpc/status"
)

const (
	scope    = "https://www.googleapis.com/auth/cloud-platform"
	audience = "https://service.example"
)

var (
	ctx      = context.Background()
	emulator = os.Getenv("EMULATOR")
	address  = must(url.Parse(emulator)).Host
)

func must[T any](value T, err error) T {
	check(err == nil, "%v", err)
	return value
}

func check(holds bool, format string, values ...any) {
	if !holds {
		panic(fmt.Sprintf(format, values...))
	}
}

func email(name string) string {
	return name + "@interop.iam.gserviceaccount.com"
}

func path(name string) string {
	return "projects/-/serviceAccounts/" + email(name)
}

func leadGoogleHere() {
	dialer := &net.Dialer{}
	http.DefaultTransport.(*http.Transport).DialContext = func(ctx context.Context, network, target string) (net.Conn, error) {
		if strings.HasSuffix(target, ".googleapis.com:443") {
			target = address
		}
		return dialer.DialContext(ctx, network, target)
	}
}

func control(page string) []byte {
	reply := must(http.Get(emulator + "/emulator/" + page))
	defer reply.Body.Close()
	body := must(io.ReadAll(reply.Body))
	check(reply.StatusCode == 200, "%s: %s", page, body)
	return body
}

// count returns how many requests for a method the journal has.
func count(method string) int {
	var journal struct{ Entries []json.RawMessage }
	check(json.Unmarshal(control("journal?method="+method), &journal) == nil, "the journal is JSON")
	return len(journal.Entries)
}

func checkMetadataServer() {
	check(metadata.OnGCE(), "the metadata server is found")
	check(must(metadata.ProjectID()) == "interop", "project")
	check(must(metadata.InstanceID()) == "7000000000000000001", "instance id")
	check(must(metadata.InstanceName()) == "interop-1", "instance name")
	check(must(metadata.Zone()) == "europe-west1-b", "zone: %q", must(metadata.Zone()))
	check(must(metadata.Hostname()) == "interop-1.europe-west1-b.c.interop.internal", "hostname")
	check(must(metadata.InstanceAttributeValue("cluster-name")) == "blue", "attribute")
	check(must(metadata.Scopes("default"))[0] == scope, "scopes")
	check(must(metadata.InternalIP()) == "10.128.0.2" && must(metadata.ExternalIP()) == "", "addresses")
	check(len(must(metadata.InstanceTags())) == 0, "tags")
	check(must(metadata.ProjectAttributes())[0] == "team", "attributes of the project")
	_, err := metadata.InstanceAttributeValue("missing")
	var missing metadata.NotDefinedError
	check(errors.As(err, &missing), "a missing attribute: %v", err)

	stop := errors.New("stop")
	err = metadata.Subscribe("instance/attributes/cluster-name", func(value string, ok bool) error {
		check(ok && value == "blue", "subscription: %q", value)
		return stop
	})
	check(err == stop, "%v", err)

	machine := must(google.FindDefaultCredentials(ctx, scope))
	check(machine.ProjectID == "interop", "project of the default credentials")
	token := must(machine.TokenSource.Token())
	check(strings.HasPrefix(token.AccessToken, "ya29."), "token")
	fmt.Println("go: the metadata server is found and read; a subscription; default credentials")
}

func checkKeyFile(key []byte) {
	config := must(google.JWTConfigFromJSON(key, scope))
	check(must(config.TokenSource(ctx).Token()).Valid(), "a token for a key file")
	source := must(idtoken.NewTokenSource(ctx, audience, option.WithCredentialsJSON(key)))
	token := must(source.Token()).AccessToken
	before := count("Keys")
	for i := 0; i < 5; i++ {
		payload := must(idtoken.Validate(ctx, token, audience))
		check(payload.Claims["email"] == email("source"), "%v", payload.Claims)
	}
	check(count("Keys")-before == 1, "keys are cached by max-age")
	fmt.Println("go: key file; ID token; five validations with one fetch of the keys")
}

func checkImpersonation(key []byte) {
	source := option.WithCredentialsJSON(key)
	config := impersonate.CredentialsConfig{
		TargetPrincipal: email("target"), Scopes: []string{scope}, Delegates: []string{email("middle")},
	}
	acting := must(impersonate.CredentialsTokenSource(ctx, config, source))
	check(must(acting.Token()).Valid(), "an impersonated token")

	config.Subject = "user@corp.example"
	user := must(impersonate.CredentialsTokenSource(ctx, config, source))
	check(must(user.Token()).Valid(), "a token by domain-wide delegation, with the legacy assertion grant")

	idConfig := impersonate.IDTokenConfig{
		TargetPrincipal: email("target"), Audience: audience, Delegates: config.Delegates, IncludeEmail: true,
	}
	id := must(must(impersonate.IDTokenSource(ctx, idConfig, source)).Token()).AccessToken
	check(must(idtoken.Validate(ctx, id, audience)).Claims["email"] == email("target"), "an impersonated ID token")

	locked := impersonate.CredentialsConfig{TargetPrincipal: email("locked"), Scopes: []string{scope}}
	_, err := must(impersonate.CredentialsTokenSource(ctx, locked, source)).Token()
	check(err != nil && strings.Contains(err.Error(), "iam.serviceAccounts.getAccessToken"), "%v", err)
	fmt.Println("go: impersonation with delegates, with a subject, for ID tokens; refusal")
}

func checkGrpc(key []byte) {
	tls := must(grpccredentials.NewClientTLSFromFile(os.Getenv("EMULATOR_CA"), "iamcredentials.googleapis.com"))
	// A JWT that the account signs itself is the bearer token.
	jwt := must(google.JWTAccessTokenSourceFromJSON(key, "https://iamcredentials.googleapis.com/"))
	connection := must(grpc.Dial(address, grpc.WithTransportCredentials(tls),
		grpc.WithPerRPCCredentials(oauth.TokenSource{TokenSource: oauth2.ReuseTokenSource(nil, jwt)})))
	defer connection.Close()
	client := credentials.NewIAMCredentialsClient(connection)
	request := &credentials.SignBlobRequest{Name: path("middle"), Payload: []byte("payload")}
	check(len(must(client.SignBlob(ctx, request)).SignedBlob) == 256, "a signature")
	request.Name = path("locked")
	_, err := client.SignBlob(ctx, request)
	check(status.Code(err) == codes.PermissionDenied && len(status.Convert(err).Details()) > 0, "%v", err)
	fmt.Println("go: gRPC over TLS with a self-signed JWT; details of a refusal")
}

// checkExternalAccounts gets an impersonated token for external accounts. Debian's package is of 2022: it accepts
// only Google's hosts for tokens, and only AWS's own metadata server. So AWS's credentials come from the environment.
func checkExternalAccounts() {
	file := must(os.CreateTemp("", "token"))
	defer os.Remove(file.Name())
	must(file.Write(control("external_accounts/job/token")))
	check(file.Close() == nil, "the file can't be written")
	must(0, os.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1"))
	for _, source := range []string{"url", "file&path=" + file.Name(), "githubActions", "azure", "executable"} {
		impersonateFrom("external_account/job?source=" + source)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(control("external_accounts/worker/environment"))), "\n") {
		name, value, _ := strings.Cut(line, "=")
		must(0, os.Setenv(name, value))
	}
	var aws map[string]any
	check(json.Unmarshal(control("fixtures/external_account/worker?target="+email("federated")), &aws) == nil, "no JSON")
	source := aws["credential_source"].(map[string]any)
	for _, url := range []string{"url", "region_url", "imdsv2_session_token_url"} {
		delete(source, url)
	}
	accessToken(must(json.Marshal(aws)))
	fmt.Println("go: external accounts by url, file, GitHub Actions, Azure, executable, AWS's environment")
}

func impersonateFrom(fixture string) {
	accessToken(control("fixtures/" + fixture + "&target=" + email("federated")))
}

func accessToken(file []byte) {
	googles := strings.NewReplacer(
		emulator+"/v1/token", "https://sts.googleapis.com/v1/token",
		emulator+"/v1/projects", "https://iamcredentials.googleapis.com/v1/projects",
	).Replace(string(file))
	found := must(google.CredentialsFromJSON(ctx, []byte(googles), scope))
	token := must(found.TokenSource.Token())
	check(strings.HasPrefix(token.AccessToken, "ya29."), "%s", token.AccessToken)
}

func main() {
	leadGoogleHere()
	key := control("fixtures/service_account/" + email("source"))
	checkMetadataServer()
	checkKeyFile(key)
	checkImpersonation(key)
	checkGrpc(key)
	checkExternalAccounts()
}
