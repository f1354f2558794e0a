-- one day's sales
CREATE TABLE IF NOT EXISTS daily (day TEXT, revenue REAL);
DELETE FROM daily WHERE day = {{ ds }};
INSERT INTO daily SELECT {{ ds }}, sum(amount) FROM orders WHERE day = {{ ds }};
