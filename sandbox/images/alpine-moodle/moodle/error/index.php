<?php
http_response_code(404);
echo "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Error</title></head><body id=\"page-error\"><p>Sorry, the requested file could not be found</p></body></html>\n";
