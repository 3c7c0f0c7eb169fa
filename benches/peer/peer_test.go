package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestABadBodyIsRefusedBeforeAnythingIsStored(t *testing.T) {
	gin.SetMode(gin.TestMode)
	engine := router(nil, nil, 4)
	for _, body := range []string{
		"",
		"no json",
		`{"username":"ada","email":"ada@example.com"}`,
		`{"username":"ada","email":"no address","password":"correct horse"}`,
		`{"username":"ada","email":"ada@example.com","password":"short"}`,
	} {
		answer := httptest.NewRecorder()
		engine.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/v1/users", strings.NewReader(body)))
		if answer.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", body, answer.Code)
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
