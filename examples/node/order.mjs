// Places an order, and asks for its mail in the same transaction: both are committed, or neither is.
import process from "node:process";
import pg from "pg";

const [customer, email, ...flags] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  await client.query("BEGIN");
  const placed = await client.query("INSERT INTO orders (customer) VALUES ($1) RETURNING id", [customer]);
  const asked = await client.query("SELECT sluice.enqueue_mail($1, $2, $3, name => $4) AS mail", [
    "order.paid",
    email,
    { order: Number(placed.rows[0].id) },
    customer,
  ]);
  if (flags.includes("--fail")) throw new Error("the payment was refused: no order, and no mail");
  await client.query("COMMIT");
  console.log(asked.rows[0].mail);
} catch (error) {
  await client.query("ROLLBACK");
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await client.end();
}
