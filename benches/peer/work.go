package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/smtp"
	"sync"
)

// work sends a mail for each task, WORKERS at a time. The broker forgets a task as soon as it is delivered (auto-ack).
func work() error {
	channel, err := open(env("AMQP_URL", ""))
	if err != nil {
		return err
	}
	deliveries, err := channel.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	server := net.JoinHostPort(env("SMTP_HOST", "localhost"), env("SMTP_PORT", "25"))
	from := env("MAIL_FROM", "no-reply@example.com")
	var workers sync.WaitGroup
	for range number("WORKERS", 16) {
		workers.Go(func() {
			for delivery := range deliveries {
				if err := send(server, from, delivery.Body); err != nil {
					log.Printf("sending a mail: %v", err)
				}
			}
		})
	}
	workers.Wait()
	return errors.New("the broker closed the connection")
}

func send(server, from string, body []byte) error {
	var task task
	if err := json.Unmarshal(body, &task); err != nil {
		return err
	}
	return smtp.SendMail(server, nil, from, []string{task.Email}, welcome(from, task))
}

func welcome(from string, task task) []byte {
	return fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: Welcome, %s!\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		"Hello %s,\r\n\r\nthank you for signing up.\r\n", from, task.Email, task.Username, task.Username)
}
