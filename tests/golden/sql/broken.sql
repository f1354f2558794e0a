DELETE FROM daily
WHERE day = {{ params.day }}
  AND region = {{ regoin }};
