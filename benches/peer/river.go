package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/smtp"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// mailJob is a task as a row in PostgreSQL: River's way, without a broker.
type mailJob task

// Kind names the job in its table.
func (mailJob) Kind() string { return "mail" }

// mailer sends a mail for each job over a connection that it keeps.
type mailer struct {
	river.WorkerDefaults[mailJob]
	sessions sessions
	from     string
}

// Work is one job: an error makes River try again, with its own backoff.
func (m *mailer) Work(_ context.Context, job *river.Job[mailJob]) error {
	return m.sessions.send(m.from, job.Args.Email, welcome(m.from, task(job.Args)))
}

// sessions are the connections that wait for their next mail.
type sessions struct {
	server string
	idle   chan *smtp.Client
}

func (s sessions) send(from, to string, mail []byte) error {
	client, err := s.take()
	if err != nil {
		return err
	}
	if err := say(client, from, to, mail); err != nil {
		_ = client.Close()
		return err
	}
	s.idle <- client
	return nil
}

func (s sessions) take() (*smtp.Client, error) {
	select {
	case client := <-s.idle:
		return client, nil
	default:
		return smtp.Dial(s.server)
	}
}

func say(client *smtp.Client, from, to string, mail []byte) error {
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	content, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := content.Write(mail); err != nil {
		return err
	}
	return content.Close()
}

// riverWork runs jobs, RIVER_WORKERS at a time, until it is told to end; then it finishes what it began.
func riverWork() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	pool, err := riverPool(ctx)
	if err != nil {
		return err
	}
	workers := number("RIVER_WORKERS", 256)
	server := net.JoinHostPort(env("SMTP_HOST", "localhost"), env("SMTP_PORT", "25"))
	registry := river.NewWorkers()
	river.AddWorker(registry, &mailer{
		sessions: sessions{server: server, idle: make(chan *smtp.Client, workers)},
		from:     env("MAIL_FROM", "no-reply@example.com"),
	})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown:        time.Millisecond,
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		RescueStuckJobsAfter: time.Duration(number("RIVER_RESCUE_SECONDS", 3600)) * time.Second,
		JobTimeout:           30 * time.Second,
		Workers:              registry,
	})
	if err != nil {
		return err
	}
	if err := client.Start(context.Background()); err != nil {
		return err
	}
	<-ctx.Done()
	return client.Stop(context.Background())
}

// riverEnqueue makes River's tables where they are missing, and inserts jobs for so many mails, a thousand in one statement.
func riverEnqueue(count int) error {
	ctx := context.Background()
	pool, err := riverPool(ctx)
	if err != nil {
		return err
	}
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	client, err := river.NewClient[pgx.Tx](driver, &river.Config{})
	if err != nil {
		return err
	}
	for first := 0; first < count; first += 1000 {
		jobs := make([]river.InsertManyParams, 0, 1000)
		for n := first; n < min(first+1000, count); n++ {
			name := fmt.Sprintf("user-%d", n)
			jobs = append(jobs, river.InsertManyParams{Args: mailJob{Email: name + "@example.com", Username: name}})
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			return err
		}
	}
	return nil
}

func riverPool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(env("DATABASE_URL", ""))
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(number("DATABASE_POOL_SIZE", 10))
	return pgxpool.NewWithConfig(ctx, config)
}

// runRiver does what the arguments say.
func runRiver(arguments []string) {
	switch {
	case len(arguments) == 1 && arguments[0] == "work":
		if err := riverWork(); err != nil {
			log.Fatal(err)
		}
	case len(arguments) == 2 && arguments[0] == "enqueue":
		count, err := strconv.Atoi(arguments[1])
		if err != nil {
			usage()
		}
		if err := riverEnqueue(count); err != nil {
			log.Fatal(err)
		}
	default:
		usage()
	}
}
