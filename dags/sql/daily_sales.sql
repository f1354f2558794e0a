-- Sales per day, region and product. The day's rows are replaced, so running it
-- again for a date gives the same table.
CREATE TABLE IF NOT EXISTS daily_sales (
	day TEXT NOT NULL,
	region TEXT NOT NULL,
	product TEXT NOT NULL,
	orders INTEGER NOT NULL,
	units INTEGER NOT NULL,
	revenue REAL NOT NULL,
	paid REAL NOT NULL,
	PRIMARY KEY (day, region, product)
);

DELETE FROM daily_sales WHERE day = {{ ds }};

INSERT INTO daily_sales
SELECT o.business_day, o.region, coalesce(p.name, o.product), count(*), sum(o.quantity),
	round(sum(o.amount), 2), round(coalesce(sum(pay.paid), 0), 2)
FROM raw_orders o
LEFT JOIN products p ON p.product = o.product
LEFT JOIN (
	SELECT order_id, sum(paid) AS paid FROM raw_payments
	WHERE business_day = {{ ds }} GROUP BY order_id
) pay ON pay.order_id = o.order_id
WHERE o.business_day = {{ ds }}
GROUP BY o.business_day, o.region, coalesce(p.name, o.product);
