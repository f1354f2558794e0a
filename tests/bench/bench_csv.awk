# Orders as CSV of about `bytes` bytes, some quoted, every 5,000th row with a fault.
BEGIN {
	srand(20261119);
	split("paid open sent returned cancelled", status, " ");
	print "order_id,day,customer,amount,status,email,note";
	for (n = 1; size < bytes; n++) {
		amount = sprintf("%d.%02d", int(rand() * 2000), int(rand() * 100));
		if (n % 5000 == 0)
			amount = "-3";
		line = sprintf("%d,2026-%02d-%02d,C%07d,%s,%s,user%d@example.com,%s", n,
			1 + int(rand() * 12), 1 + int(rand() * 28), int(rand() * 1000000), amount,
			status[1 + int(rand() * 5)], int(rand() * 1000000),
			n % 7 ? "delivered to the front door" : "\"left, with \"\"Bob\"\"\"");
		size += length(line) + 1;
		print line;
	}
}
