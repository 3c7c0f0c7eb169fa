// Places an order, and asks for its mail in the same transaction: both are committed, or neither is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	mail, err := order(os.Args[1], os.Args[2], slices.Contains(os.Args, "--fail"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(mail)
}

func order(customer, email string, fail bool) (mail string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	// Committed where the function returns nil, rolled back where it does not.
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var id int64
		placed := tx.QueryRow(ctx, "INSERT INTO orders (customer) VALUES ($1) RETURNING id", customer)
		if err := placed.Scan(&id); err != nil {
			return err
		}
		asked := tx.QueryRow(ctx, "SELECT sluice.enqueue_mail($1, $2, $3, name => $4)::text",
			"order.paid", email, map[string]int64{"order": id}, customer)
		if err := asked.Scan(&mail); err != nil {
			return err
		}
		if fail {
			return errors.New("the payment was refused: no order, and no mail")
		}
		return nil
	})
	return mail, err
}
