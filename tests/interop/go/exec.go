// Go's oauth2, unmodified, below `iamcreds exec`: acts as the target for longer than a token lives.
//
// The environment names the emulator (EMULATOR) and how long to act (SECONDS).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const target = "target@interop.iam.gserviceaccount.com"

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// email returns whose token it is, by the emulator.
func email(client *http.Client) string {
	reply, err := client.Get(os.Getenv("EMULATOR") + "/oauth2/v3/userinfo")
	check(err)
	defer reply.Body.Close()
	var user struct{ Email string }
	check(json.NewDecoder(reply.Body).Decode(&user))
	return user.Email
}

func main() {
	ctx := context.Background()
	scopes := []string{"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email"}
	credentials, err := google.FindDefaultCredentials(ctx, scopes...)
	check(err)
	seconds, err := strconv.Atoi(os.Getenv("SECONDS"))
	check(err)
	client := oauth2.NewClient(ctx, credentials.TokenSource)
	tokens, requests := map[string]bool{}, 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); requests++ {
		if got := email(client); got != target {
			panic("not the target: " + got)
		}
		token, err := credentials.TokenSource.Token()
		check(err)
		tokens[token.AccessToken] = true
		time.Sleep(250 * time.Millisecond)
	}
	if credentials.ProjectID != "interop" || len(tokens) < 3 {
		panic(fmt.Sprint(credentials.ProjectID, len(tokens)))
	}
	fmt.Printf("go: %d requests as the target, %d tokens\n", requests, len(tokens))
}
