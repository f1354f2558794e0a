/* Where in a statement are we: a value's place, inside a literal, inside a comment?
 *
 * A DAG's SQL does not say which database reads it, and they disagree about brackets, back quotes,
 * E'...', $$...$$ and nested comments. So two lexers read the text side by side, one as SQLite
 * does (the rules of its tokenizer), one as PostgreSQL does (its manual, 4.1 Lexical Structure). A
 * template is evaluated only where both see the same; elsewhere nobody can say how a value
 * must be quoted.
 */
#ifndef WEIR_CONF_TEMPLATE_SQLLEX_H
#define WEIR_CONF_TEMPLATE_SQLLEX_H

#include <stdbool.h>
#include <stddef.h>

enum sqllex_place {
	SQLLEX_PLAIN,    /* between tokens, or in a word: a value's place */
	SQLLEX_STRING,   /* '...' with '' for a quote and no other escapes */
	SQLLEX_IDENT,    /* "..." with "" for a quote */
	SQLLEX_COMMENT,  /* from -- or slash-star on */
	SQLLEX_ESCAPED,  /* E'...' with backslashes: PostgreSQL */
	SQLLEX_PREFIXED, /* X'...', B'...', U&'...' */
	SQLLEX_DOLLAR,   /* $tag$...$tag$: PostgreSQL */
	SQLLEX_BRACKET,  /* [...]: SQLite */
	SQLLEX_BACKTICK, /* `...`: SQLite */
	SQLLEX_PARAM,    /* $name(...): SQLite */
	SQLLEX_PLACE_MAX
};

enum { SQLLEX_TAG_MAX = 66 }; /* two "$" and a name of 64 bytes */

/* One dialect's reading so far. */
struct sqllex_side {
	bool postgres;
	enum sqllex_place place;
	char quote;         /* that ends the literal */
	bool held;          /* that quote was read: the literal ends, unless it is doubled */
	bool backslash;     /* the next byte of E'...' is escaped */
	bool line_comment;  /* else one to star-slash */
	int depth;          /* of nested comments */
	char prev;          /* a byte that may begin a token of two, else 0 */
	bool word;          /* in a name, key word or number */
	char letter;        /* that word so far, when it is one letter (small); else 0 */
	bool u_amp;         /* behind U& */
	bool after_escaped; /* behind E'...': a literal on the next line continues it */
	int sigil;      /* SQLite: bytes of a parameter :x so far, its sigil included; 0: none */
	bool variable;  /* the text has a parameter of its own */
	size_t tag_len; /* of a $tag$: being read (PLAIN), or to be found again (DOLLAR) */
	size_t tag_seen;
	char tag[SQLLEX_TAG_MAX];
};

/* Text can come in pieces of any size. */
struct sqllex {
	struct sqllex_side sqlite, postgres;
	char last; /* the last byte; 0 at the beginning */
};

void sqllex_init(struct sqllex *l);
/* Go on by a piece of the statement. */
void sqllex_feed(struct sqllex *l, const char *text, size_t len);
/* The place as each dialect sees it, of what comes next and does not begin with a quote. */
void sqllex_places(
	const struct sqllex *l, enum sqllex_place *ret_sqlite, enum sqllex_place *ret_postgres);
/* "a comment", for messages. */
const char *sqllex_place_name(enum sqllex_place place);

#endif
