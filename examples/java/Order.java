import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Arrays;

/** Places an order, and asks for its mail in the same transaction: both are committed, or neither is. */
class Order {
    public static void main(String[] args) throws SQLException {
        boolean fail = Arrays.asList(args).contains("--fail");
        try (Connection connection = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
            connection.setAutoCommit(false);
            long order = place(connection, args[0]);
            String mail = ask(connection, order, args[0], args[1]);
            if (fail) {
                connection.rollback();
                System.err.println("the payment was refused: no order, and no mail");
                System.exit(1);
            }
            connection.commit();
            System.out.println(mail);
        }
    }

    static long place(Connection connection, String customer) throws SQLException {
        String sql = "INSERT INTO orders (customer) VALUES (?) RETURNING id";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setString(1, customer);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getLong(1);
            }
        }
    }

    static String ask(Connection connection, long order, String customer, String email) throws SQLException {
        String sql = "SELECT sluice.enqueue_mail(?, ?, ?::jsonb, name => ?)";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setString(1, "order.paid");
            statement.setString(2, email);
            statement.setString(3, "{\"order\": " + order + "}");
            statement.setString(4, customer);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getString(1);
            }
        }
    }
}
