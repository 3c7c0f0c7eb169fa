package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/crypto/bcrypt"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// User is a row of the table users, which gorm makes.
type User struct {
	ID        uint   `gorm:"primaryKey"`
	Username  string `gorm:"uniqueIndex;not null"`
	Email     string `gorm:"uniqueIndex;not null"`
	Password  string `gorm:"not null"`
	CreatedAt time.Time
}

// registration is the body of POST /v1/users.
type registration struct {
	Username string `json:"username" binding:"required,min=3,max=64"`
	Email    string `json:"email" binding:"required,email"`
	Password string `json:"password" binding:"required,min=8,max=72"`
}

// publisher puts a task on the queue.
type publisher func(ctx context.Context, body []byte) error

func serve() error {
	db, err := gorm.Open(postgres.Open(env("DATABASE_URL", "")), &gorm.Config{
		Logger:         logger.Default.LogMode(logger.Silent),
		TranslateError: true,
	})
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(number("DATABASE_POOL_SIZE", 10))
	pool.SetMaxIdleConns(number("DATABASE_POOL_SIZE", 10))
	if err := db.AutoMigrate(&User{}); err != nil {
		return err
	}
	channel, err := open(env("AMQP_URL", ""))
	if err != nil {
		return err
	}
	publish := func(ctx context.Context, body []byte) error {
		// The channel locks itself, so that all requests may share it.
		return channel.PublishWithContext(ctx, "", queue, false, false, amqp.Publishing{ContentType: "application/json", Body: body})
	}
	gin.SetMode(gin.ReleaseMode)
	return http.ListenAndServe(env("HTTP_ADDR", ":8080"), router(db, publish, number("BCRYPT_COST", bcrypt.DefaultCost)))
}

// open connects, and declares the queue.
func open(url string) (*amqp.Channel, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	_, err = channel.QueueDeclare(queue, true, false, false, false, nil)
	return channel, err
}

func router(db *gorm.DB, publish publisher, cost int) *gin.Engine {
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/healthz", func(c *gin.Context) { c.Status(http.StatusOK) })
	engine.POST("/v1/users", func(c *gin.Context) { register(c, db, publish, cost) })
	return engine
}

func register(c *gin.Context, db *gorm.DB, publish publisher, cost int) {
	var body registration
	if err := c.ShouldBindJSON(&body); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	hash, err := hashed(body.Password, cost)
	if err != nil {
		c.JSON(http.StatusInternalServerError, gin.H{"error": "the password could not be hashed"})
		return
	}
	user := User{Username: body.Username, Email: body.Email, Password: hash}
	if err := db.WithContext(c).Create(&user).Error; err != nil {
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			c.JSON(http.StatusConflict, gin.H{"error": "username or email is taken"})
			return
		}
		c.JSON(http.StatusInternalServerError, gin.H{"error": "the user could not be stored"})
		return
	}
	// The user is stored; a mail that cannot be published is logged, and lost.
	message, err := json.Marshal(task{Email: user.Email, Username: user.Username})
	if err == nil {
		err = publish(c, message)
	}
	if err != nil {
		log.Printf("publishing the task of user %d: %v", user.ID, err)
	}
	c.JSON(http.StatusCreated, gin.H{"id": user.ID, "username": user.Username, "email": user.Email})
}

// hashed is what is stored of a password. Cost 0 is for measuring everything else: a digest that costs next to nothing.
func hashed(password string, cost int) (string, error) {
	if cost == 0 {
		digest := sha256.Sum256([]byte(password))
		return hex.EncodeToString(digest[:]), nil
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	return string(hash), err
}
