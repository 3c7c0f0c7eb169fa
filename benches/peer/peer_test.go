package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/crypto/bcrypt"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

const ada = `{"username":"ada","email":"ada@example.com","password":"correct horse"}`

func TestABadBodyIsRefusedBeforeAnythingIsStored(t *testing.T) {
	for _, body := range []string{
		"",
		"no json",
		`{"username":"ada","email":"ada@example.com"}`,
		`{"username":"ada","email":"no address","password":"correct horse"}`,
		`{"username":"ada","email":"ada@example.com","password":"short"}`,
	} {
		if answer := post(nil, nil, body); answer.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", body, answer.Code)
		}
	}
}

func TestARegistrationPublishesItsTask(t *testing.T) {
	var published []byte
	publish := func(_ context.Context, body []byte) error {
		published = body
		return nil
	}
	if answer := post(storesNothing(t), publish, ada); answer.Code != http.StatusCreated {
		t.Fatalf("%d %s, want 201", answer.Code, answer.Body)
	}
	var task map[string]string
	if err := json.Unmarshal(published, &task); err != nil {
		t.Fatalf("%q: %v", published, err)
	}
	if len(task) != 2 || task["email"] != "ada@example.com" || task["username"] != "ada" {
		t.Errorf("published %q, want email and username", published)
	}
}

// What makes it the plain alternative: the user is there, the mail never comes, and nobody is told.
func TestARegistrationWhoseTaskIsLostIsAnswered201AllTheSame(t *testing.T) {
	fails := func(context.Context, []byte) error { return errors.New("the broker is away") }
	if answer := post(storesNothing(t), fails, ada); answer.Code != http.StatusCreated {
		t.Errorf("%d %s, want 201", answer.Code, answer.Body)
	}
}

func TestAPasswordIsStoredAsItsHash(t *testing.T) {
	hash, err := hashed("correct horse", bcrypt.MinCost)
	if err != nil || bcrypt.CompareHashAndPassword([]byte(hash), []byte("correct horse")) != nil {
		t.Errorf("%q, %v: want a bcrypt hash of the password", hash, err)
	}
	for _, cost := range []int{0, bcrypt.MinCost} {
		if hash, err := hashed("correct horse", cost); err != nil || strings.Contains(hash, "horse") {
			t.Errorf("cost %d: %q, %v", cost, hash, err)
		}
	}
}

func TestTheMailNamesItsRecipient(t *testing.T) {
	mail := string(welcome("no-reply@example.com", task{Email: "ada@example.com", Username: "ada"}))
	for _, part := range []string{"To: ada@example.com\r\n", "Subject: Welcome, ada!\r\n", "\r\n\r\nHello ada,"} {
		if !strings.Contains(mail, part) {
			t.Errorf("no %q in %q", part, mail)
		}
	}
}

func post(db *gorm.DB, publish publisher, body string) *httptest.ResponseRecorder {
	gin.SetMode(gin.TestMode)
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/v1/users", strings.NewReader(body))
	router(db, publish, bcrypt.MinCost).ServeHTTP(answer, request)
	return answer
}

// storesNothing is gorm without a database: it builds each statement, and sends none.
func storesNothing(t *testing.T) *gorm.DB {
	dialector := postgres.New(postgres.Config{Conn: struct{ gorm.ConnPool }{}})
	db, err := gorm.Open(dialector, &gorm.Config{DryRun: true, DisableAutomaticPing: true, SkipDefaultTransaction: true})
	if err != nil {
		t.Fatal(err)
	}
	return db
}
